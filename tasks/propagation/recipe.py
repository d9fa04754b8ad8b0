"""How an untrained network is measured. Torch-free."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from normbench.core.schema import Strict

GAUSSIAN = "gaussian"  # the dataset that is drawn, as much of it as is wanted
LARGE = 1024  # samples that stand for "all" where calibration on fewer is compared with it


class Recipe(Strict):
    """measure: what is done with the network.

        signal: one batch forward and backward, everything that normbench/diagnostics/propagation.py reads.
        invariance: each convolution in front of a norm with `weight_scale` times its weights, in double precision.
        trajectory: `steps` of gradient descent on L(w / c) from c times the weights at c^2 times `lr`, c the
            `weight_scale`, in double precision.

    batch_size: samples measured on. calibration_samples: for methods that calibrate on first batches; compare_calibration: also on 1024,
    for calibration_error.
    power_iterations: for the largest singular value of the Jacobian from input to features, 0: it is not measured.
    """

    measure: Literal["signal", "invariance", "trajectory"] = "signal"
    batch_size: int
    calibration_samples: int = Field(512, ge=1)
    compare_calibration: bool = False
    power_iterations: int = Field(0, ge=0)
    weight_scale: float = Field(1.0, gt=0)
    steps: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)

    @field_validator("batch_size")
    @classmethod
    def _two_samples(cls, value: int) -> int:
        if value < 2:
            raise ValueError(f"samples can only be compared where there are at least two, got {value}")
        return value

    @model_validator(mode="after")
    def _trains(self) -> "Recipe":
        trains = self.measure == "trajectory"
        if (self.steps is not None, self.lr is not None) != (trains, trains):
            raise ValueError("steps and lr go with measure: trajectory, which needs both")
        return self
