"""Batches of clips: decoded by worker processes, or out of memory where a set is small; the same ones at the same step.

Shapes: B clips, V views of each, 3 channels, T frames, S x S pixels. What happens to a clip is drawn from (seed, epoch,
index), so that a run that resumes at a step gets the batches of one that was never interrupted, with any number of workers.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from normbench.core.errors import InputError
from tasks.images.batches import Order
from tasks.kinetics.index import Clip
from tasks.kinetics.sampling import Views
from tasks.kinetics.video import SOON, Unreadable, read_frames

MEAN, STD = 0.45, 0.225  # of all channels: DATA.MEAN and DATA.STD of github.com/facebookresearch/SlowFast
Source = Callable[[int, np.ndarray, int], np.ndarray]  # (index, times, short_side) -> (T, H, W, 3) uint8, or raises Unreadable
Failed = Callable[[int, str], None]  # is told of a clip that could not be read, and why


class Files:
    """Clips on the disk."""

    def __init__(self, folder: Path, clips: list[Clip]):
        self.folder, self.clips = folder, clips

    def __call__(self, index: int, times: np.ndarray, short_side: int) -> np.ndarray:
        return read_frames(self.folder / self.clips[index].path, times, short_side)


class Held:
    """Clips of a constant rate in memory, as they are: what Files gives where no frame is scaled."""

    def __init__(self, folder: Path, clips: list[Clip], rate: float):
        self.rate = rate
        self.frames = [read_frames(folder / clip.path, [t / rate for t in range(clip.frames)]) for clip in clips]

    def __call__(self, index: int, times: np.ndarray, _short_side: int) -> np.ndarray:
        frames = self.frames[index]
        return frames[np.floor((times + SOON) * self.rate).astype(np.int64).clip(0, len(frames) - 1)]


class Decoded(Dataset):
    """decoded[epoch, index] -> ((V, 3, T, S, S) uint8, label), or (index, why it cannot be read)."""

    def __init__(self, source: Source, clips: list[Clip], views: Views):
        self.source, self.clips, self.views = source, clips, views

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | tuple[int, str]:
        epoch, index = key
        views = self.views(epoch, index, self.clips[index])
        times, places = np.unique(np.concatenate([view.times for view in views]), return_inverse=True)
        try:
            frames = self.source(index, times, views[0].short_side)
        except Unreadable as reason:
            return index, str(reason)
        cut = (view.cut(frames[part]) for view, part in zip(views, np.split(places, len(views)), strict=True))
        return torch.stack(list(cut)), self.clips[index].label


class _Steps:
    """The (epoch, index) pairs of each step from `start` on, without end."""

    def __init__(self, order: Order, start: int):
        self.order, self.start = order, start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in itertools.count(self.start):
            epoch, indices = self.order.at(step)
            yield [(epoch, int(index)) for index in self.order.share(indices)]


class TrainingBatches:
    """Iterate -> (x, y) of start_step, start_step + 1, ... without end, over all epochs. x: (B, 3, T, S, S) float32; y: (B,) int64.

    A clip that cannot be read is missing from its batch and told to `failed`; nothing stands in for it. rank, world_size: of each
    batch this process takes every world_size-th clip. workers: processes that decode; None: one a core up to 8, with one core left
    for the training, and none for clips in memory.
    """

    def __init__(
        self,
        source: Source,
        clips: list[Clip],
        views: Views,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        **options: Any,
    ):
        self.order = Order(len(clips), batch_size, seed, rank=rank, world_size=world_size)
        self.steps_per_epoch = self.order.steps_per_epoch
        self._decoded, self._options = Decoded(source, clips, views), options

    def starting(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        return ((x[:, 0], y) for x, y in _loaded(self._decoded, _Steps(self.order, step), **self._options))


class EvaluationBatches:
    """Iterate -> (x, y), each clip once and in order, every world_size-th in this process. x: (B, V, 3, T, S, S) float32; y: (B,) int64."""

    def __init__(
        self, source: Source, clips: list[Clip], views: Views, batch_size: int, rank: int = 0, world_size: int = 1, **options: Any
    ):
        keys = [(0, index) for index in range(rank, len(clips), world_size)]
        self._keys = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
        self._decoded, self._options = Decoded(source, clips, views), options

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return _loaded(self._decoded, self._keys, **self._options)


def _collate(samples: list[tuple]) -> tuple[Tensor, Tensor, list[tuple[int, str]]]:
    failures = [sample for sample in samples if isinstance(sample[1], str)]
    read = [sample for sample in samples if not isinstance(sample[1], str)]
    x = torch.stack([x for x, _ in read]) if read else torch.empty(0)
    return x, torch.tensor([y for _, y in read], dtype=torch.int64), failures


def _loaded(
    decoded: Decoded, keys: Iterable, failed: Failed, device: str | torch.device = "cpu", workers: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    pinned = torch.device(device).type == "cuda"
    if workers is None:
        workers = 0 if isinstance(decoded.source, Held) else min(8, (os.cpu_count() or 1) - 1)
    # A generator of its own: the loader draws from it, and otherwise a resumed training would find its own stream moved.
    loader = DataLoader(
        decoded, batch_sampler=keys, num_workers=workers, collate_fn=_collate, pin_memory=pinned, generator=torch.Generator()
    )
    for x, y, failures in loader:
        for index, reason in failures:
            failed(index, reason)
        if not len(y):
            index, reason = failures[0]
            raise InputError(f"data: no clip of a batch can be read, the first is {decoded.clips[index].path}, which {reason}")
        x = x.to(device, non_blocking=pinned).to(torch.float32)
        yield x.mul_(1 / (255 * STD)).sub_(MEAN / STD), y.to(device, non_blocking=pinned)
