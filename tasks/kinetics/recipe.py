"""How a clip network is trained and evaluated: the shared recipe and what video adds to it. Torch-free."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from normbench.config import recipe

AUGMENTS = ("none", "flip")


class Recipe(recipe.Recipe):
    """frames: of a clip that the network sees. stride, rate: the frames are `stride` apart in a video of `rate` frames a second.

    short_side: pixels of a frame's shorter side in training, drawn between the two; crop: side of the square cut out of it.
    test_short_side, test_crop: the same in evaluation, fixed. test_clips: equally spaced in time; test_crops: of each, 1 in the
        middle or 3 along the longer side. Scores are averaged over all of them.
    augment: none, or flip (left and right), beside the draws of time, size and place, which are always made.
    inflate: name of the 2D weights to start from (weights.py), None: from scratch.
    """

    frames: int = Field(ge=1)
    stride: int = Field(ge=1)
    rate: float = Field(gt=0)
    short_side: tuple[int, int]
    crop: int = Field(ge=1)
    test_short_side: int = Field(ge=1)
    test_crop: int = Field(ge=1)
    test_clips: int = Field(ge=1)
    test_crops: Literal[1, 3]
    inflate: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")

    @field_validator("augment")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in AUGMENTS:
            raise ValueError(f"clips know {' and '.join(AUGMENTS)}, got {value!r}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Recipe":
        least, most = self.short_side
        if not self.crop <= least <= most:
            raise ValueError(f"short_side must hold two sides, ascending, from crop ({self.crop}) up, got {list(self.short_side)}")
        if self.test_crop > self.test_short_side:
            raise ValueError(f"test_crop ({self.test_crop}) does not fit into test_short_side ({self.test_short_side})")
        return self

    @property
    def span(self) -> float:
        """Seconds from the first frame of a clip to the last."""
        return (self.frames - 1) * self.stride / self.rate
