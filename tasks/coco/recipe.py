"""How a detector is trained and asked. Torch-free."""

import importlib.util
import sys
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from normbench.core.schema import Strict

ENGINES = ("detectron2", "torchvision")
SCRATCH = "scratch"  # the weights of what learned nothing before


class Recipe(Strict):
    """engine: the framework that trains: detectron2, torchvision, or auto (detectron2 where it is installed). The choice
        is part of the run's identity, so that auto is no value of a run.
    epochs or steps: the budget (exactly one). batch_size: images a step. lr: the peak rate; milestones: fractions of the
        budget at which it is multiplied by gamma; warmup: the fraction over which it rises linearly from zero.
    decay: which parameters the weight decay applies to: all, or weights (two or more dimensions); decay_norms: whether to norms.
    grad_clip: largest global gradient norm.
    sides: shorter sides that a training image is resized to, one at random each time; test_side: the one of
        held-out images; max_side: what the longer side may be at most. flip: half of the training images are mirrored.
    anchors: sides of the anchors in pixels, one for each level of the pyramid; sampled_anchors: of an image, for the loss.
    proposals: of an image in training and in evaluation; before suppression there are twice as many of each level in training.
    sampled_boxes: of an image, for the loss of the heads. detections: of an image at most.
    weights: scratch, or the dataset that the backbone learned to classify before (pretrained.py); pretrain_steps: how long
        where it is embedded and made here.
    freeze_at: 1 keeps the stem as it is, 2 the first stage too, and so on (detectron2's FREEZE_AT).
    freeze_norm: the backbone's norms keep their statistics, scales and shifts.
    evaluations: how many times in the run the held-out set is looked at, the last at the end.
    calibration_batches: what a method calibrates on.
    """

    engine: Literal["auto", "detectron2", "torchvision"]
    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(ge=1)
    optimizer: Literal["sgd"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    decay: Literal["all", "weights"] = "all"
    decay_norms: bool
    warmup: float = Field(0.0, ge=0, lt=1)
    milestones: tuple[float, ...] = ()
    gamma: float = Field(0.1, gt=0)
    grad_clip: float | None = Field(None, gt=0)
    precision: Literal["float32", "amp_float16", "amp_bfloat16"] = "float32"
    sides: tuple[Annotated[int, Field(ge=16)], ...] = Field(min_length=1)
    test_side: int = Field(ge=16)
    max_side: int = Field(ge=16)
    flip: bool
    anchors: tuple[int, ...] = Field(min_length=2)
    sampled_anchors: int = Field(256, ge=2)
    proposals: tuple[int, int] = (1000, 1000)
    sampled_boxes: int = Field(512, ge=2)
    detections: int = Field(100, ge=1)
    weights: str
    pretrain_steps: int = Field(0, ge=0)
    freeze_at: int = Field(0, ge=0, le=5)
    freeze_norm: bool = False
    evaluations: int = Field(1, ge=1)
    calibration_batches: int = Field(8, ge=1)

    @field_validator("engine")
    @classmethod
    def _chosen(cls, engine: str) -> str:
        return available_engine() if engine == "auto" else engine

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps must be given")
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise ValueError("milestones must be ascending fractions between 0 and 1")
        if self.weights == SCRATCH and (self.freeze_at or self.freeze_norm):
            raise ValueError("freeze_at and freeze_norm keep what was learned before, and with weights: scratch nothing was")
        return self

    def total_steps(self, images: int) -> int:
        """Steps of the whole run over so many training images."""
        return self.steps if self.steps is not None else max(1, round(self.epochs * images / self.batch_size))

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of step `step` (0-based) of `total`. Warm-up does not move the milestones, as in detectron2."""
        warm = round(self.warmup * total)
        rising = (step + 1) / warm if step < warm else 1.0
        return self.lr * rising * self.gamma ** sum(step >= round(m * total) for m in self.milestones)


def has_detectron2() -> bool:
    return importlib.util.find_spec("detectron2") is not None


@cache
def available_engine() -> str:
    """What `auto` stands for on this machine; said once, with the reason."""
    name, why = (
        ("detectron2", "it is installed") if has_detectron2() else ("torchvision", "detectron2 is not installed (README.md says how)")
    )
    print(f"coco: engine auto takes {name}, because {why}", file=sys.stderr)
    return name
