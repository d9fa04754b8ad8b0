"""Batches of images held in memory: the same ones at the same step, wherever a run was interrupted.

The order of epoch e is drawn from (seed, e) and the augmentation of a step from (seed, step), so that nothing
has to be saved to resume. Shapes: B samples in this process's share of a batch, C channels, H = W pixels.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from normbench.core.errors import InputError, unknown
from tasks.images.augments import IN_MEMORY

_ORDER, _AUGMENT = 0, 1  # two streams of one seed


@dataclass(frozen=True)
class Images:
    """A split, decoded. pixels: (N, C, H, W) uint8; labels: (N,) int64; mean, std: per channel, of intensities in 0..1."""

    pixels: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.labels)


class Order:
    """Which samples make up the batch of each step.

    samples: how many there are. batch_size: over all processes; a set smaller than that is one batch. drop_last: leave
    out the incomplete batch at the end of an epoch. rank, world_size: this process takes every world_size-th sample.
    """

    def __init__(self, samples: int, batch_size: int, seed: int, drop_last: bool = True, rank: int = 0, world_size: int = 1):
        self.samples, self.seed, self.rank, self.world_size = samples, seed, rank, world_size
        self.batch_size = min(batch_size, samples)
        if batch_size < 1 or self.batch_size % world_size:
            raise InputError(f"batch_size: {self.batch_size} samples cannot be shared evenly by {world_size} processes")
        whole, rest = divmod(samples, self.batch_size)
        self.steps_per_epoch = whole + (rest > 0 and not drop_last)
        self._epoch, self._permutation = -1, np.empty(0, dtype=np.int64)

    def at(self, step: int) -> tuple[int, np.ndarray]:
        """(epoch, indices) of the whole batch of `step`, 0-based; `share` picks this process's part."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, np.random.default_rng([self.seed, _ORDER, epoch]).permutation(self.samples)
        return epoch, self._permutation[place * self.batch_size : (place + 1) * self.batch_size]

    def share(self, values: np.ndarray) -> np.ndarray:
        """This process's part of something that has one entry a sample of the batch."""
        return values if self.world_size == 1 else values[self.rank :: self.world_size]


class Batches:
    """Iterate -> (x, y) of start_step, start_step + 1, ... without end, over all epochs; at(step) is one of them.

    x: (B, C, H, W) float32, normalized; y: (B,) int64. augment: none, flip (left and right, every other image), crop
    (after padding with black: 4 pixels at 32, in proportion elsewhere), crop_flip. device: where the images live.
    """

    def __init__(
        self,
        images: Images,
        batch_size: int,
        seed: int,
        augment: str = "none",
        start_step: int = 0,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        device: str | torch.device = "cpu",
    ):
        if augment not in IN_MEMORY:
            raise unknown("augment", "augmentation of images held in memory", augment, IN_MEMORY)
        self.order = Order(len(images), batch_size, seed, drop_last, rank, world_size)
        self.augment, self.start_step, self.steps_per_epoch = augment, start_step, self.order.steps_per_epoch
        self._pixels, self._labels = images.pixels.to(device), images.labels.to(device)
        self._normalize = Normalize(images, device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.at, itertools.count(self.start_step))

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of one step."""
        _, indices = self.order.at(step)
        chosen = self._to_device(self.order.share(indices))
        x = self._pixels.index_select(0, chosen)
        if self.augment != "none":
            x = self._augmented(x, step, len(indices))
        return self._normalize(x), self._labels.index_select(0, chosen)

    def _augmented(self, x: Tensor, step: int, batch: int) -> Tensor:
        pad = padding(x.shape[-1])
        # Every process draws for the whole batch, so that the data do not depend on how many processes there are.
        down, across, flipped = (self.order.share(v) for v in draw(self.order.seed, step, batch, pad))
        if "crop" in self.augment:
            x = crop(x, pad, self._to_device(down), self._to_device(across))
        if "flip" in self.augment:
            turned = self._to_device(np.flatnonzero(flipped))
            x.index_copy_(0, turned, x.index_select(0, turned).flip(-1))
        return x

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._pixels.device)


class Normalize:
    """uint8 in 0..255 -> float32, (x / 255 - mean) / std per channel, as one multiplication and one addition."""

    def __init__(self, images: Images, device: str | torch.device = "cpu"):
        mean, std = (torch.tensor(m, dtype=torch.float64, device=device)[:, None, None] for m in (images.mean, images.std))
        self.scale, self.offset = (1 / (255 * std)).float(), (-mean / std).float()

    def __call__(self, x: Tensor) -> Tensor:
        return x.to(torch.float32).mul_(self.scale).add_(self.offset)


def padding(pixels: int) -> int:
    """Pixels of black around an image of `pixels` before a crop: 4 at 32, as is usual for CIFAR, and 1 at 8."""
    return max(1, pixels // 8)


def draw(seed: int, step: int, batch: int, pad: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What augmentation of a step draws, each (batch,): rows down and columns across in 0..2 pad, and whether to flip."""
    rng = np.random.default_rng([seed, _AUGMENT, step])
    down, across = rng.integers(0, 2 * pad, size=(2, batch), endpoint=True)
    return down, across, rng.integers(0, 1, size=batch, endpoint=True).astype(bool)


def crop(x: Tensor, pad: int, down: Tensor, across: Tensor) -> Tensor:
    """The window of each image, of its own size, whose top left is (down, across) of the image padded with zeros."""
    windows = F.pad(x, (pad,) * 4).unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)  # (B, C, 2p + 1, 2p + 1, H, W), a view
    return windows[torch.arange(len(x), device=x.device), :, down, across]


class InOrder:
    """Iterate -> (x, y), each sample of a split once and in order, for evaluation; the last batch may be smaller."""

    def __init__(self, images: Images, batch_size: int, rank: int = 0, world_size: int = 1, device: str | torch.device = "cpu"):
        self._pixels, self._labels = (t[rank::world_size].to(device) for t in (images.pixels, images.labels))
        self._normalize, self.batch_size = Normalize(images, device), batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in zip(self._pixels.split(self.batch_size), self._labels.split(self.batch_size), strict=True):
            yield self._normalize(x), y
