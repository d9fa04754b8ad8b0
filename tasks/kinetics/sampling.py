"""Which frames of a video a network sees, and which part of them: random in training, equally spaced in evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.kinetics.index import Clip
from tasks.kinetics.recipe import Recipe

_CLIP = 3  # a stream of the seed; the order of an epoch has another
ALONG = {1: (0.5,), 3: (0.0, 0.5, 1.0)}  # where the crops lie along the longer side


@dataclass(frozen=True)
class View:
    """times: (T,) seconds. short_side: of the scaled frames. crop: side of the square that is cut out, in pixels.

    down, across: share of the room that is above and left of the crop; along: in their place, where it lies along the longer
    side, in the middle of the other. flip: left and right are swapped.
    """

    times: np.ndarray
    short_side: int
    crop: int
    down: float = 0.5
    across: float = 0.5
    flip: bool = False
    along: float | None = None

    def cut(self, frames: np.ndarray) -> Tensor:
        """(T, H, W, 3) -> (3, T, crop, crop) uint8."""
        down, across = self.down, self.across
        if self.along is not None:
            down, across = (self.along, 0.5) if frames.shape[1] > frames.shape[2] else (0.5, self.along)
        top, left = (round(share * (side - self.crop)) for share, side in zip((down, across), frames.shape[1:3], strict=True))
        window = frames[:, top : top + self.crop, left : left + self.crop]
        return torch.from_numpy(np.ascontiguousarray((window[:, :, ::-1] if self.flip else window).transpose(3, 0, 1, 2)))


Views = Callable[[int, int, Clip], list[View]]  # (epoch, index, clip) -> what is seen of it; all times of one call may overlap


def training_views(recipe: Recipe, seed: int) -> Views:
    """One view, drawn from (seed, epoch, index): the time, the size, the place, and left or right where `augment` says flip."""

    def views(epoch: int, index: int, clip: Clip) -> list[View]:
        rng = np.random.default_rng([seed, _CLIP, epoch, index])
        start, down, across, size, turn = rng.random(5)
        least, most = recipe.short_side
        times = _times(recipe, start * max(0.0, clip.seconds - recipe.span))
        side = least + int(size * (most - least + 1))
        return [View(times, side, recipe.crop, down, across, flip=recipe.augment == "flip" and turn < 0.5)]

    return views


def evaluation_views(recipe: Recipe) -> Views:
    """test_clips x test_crops views, in the order of time; one clip in time is that of the middle."""

    def views(_epoch: int, _index: int, clip: Clip) -> list[View]:
        room = max(0.0, clip.seconds - recipe.span)
        starts = np.linspace(0, room, recipe.test_clips) if recipe.test_clips > 1 else [room / 2]
        places = ALONG[recipe.test_crops]
        return [View(_times(recipe, at), recipe.test_short_side, recipe.test_crop, along=place) for at in starts for place in places]

    return views


def _times(recipe: Recipe, start: float) -> np.ndarray:
    return start + np.arange(recipe.frames) * recipe.stride / recipe.rate
