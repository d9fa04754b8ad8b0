"""What is timed, on what shape and for how long. Torch-free."""

from typing import Literal

from pydantic import Field

from normbench.config.spec import ArmSpec
from normbench.core.schema import Strict

BASELINE = "batch_norm"  # where the model names no other one


class Recipe(Strict):
    """subject: what a step is of.

        layer: the module that the method puts at the first norm inside the model, alone,
            on x of shape (batch_size, features, [frames,] pixels, pixels).
        network: the whole model and a cross-entropy, on x of shape (batch_size, 3, [frames,] pixels, pixels),
            for a transformer (batch_size, pixels^2, width): a token for each pixel.

    frames: None: images, and a model of two dimensions; else clips, and one of three.
    rounds: each takes every network twice, there and back. threads: processor threads of one step.
    compiled: torch.compile of what is timed, baseline included; a ratio is over the compiled baseline then.
    """

    subject: Literal["layer", "network"]
    batch_size: int = Field(ge=1)
    pixels: int = Field(ge=2)
    frames: int | None = Field(None, ge=2)
    rounds: int = Field(ge=1)
    compiled: bool = False
    threads: int = Field(1, ge=1)

    def shape(self, channels: int) -> tuple[int, ...]:
        """(channels, [frames,] pixels, pixels): one sample of so many channels."""
        return (channels, *([self.frames] if self.frames else []), self.pixels, self.pixels)


def baseline_of(arm: ArmSpec) -> str:
    """The method that the arm's model is timed beside, at its defaults."""
    return arm.model.get("baseline", BASELINE)


def other_methods(arm: ArmSpec) -> list[str]:
    """The methods that a run loads beside the arm's own."""
    return [baseline_of(arm)]
