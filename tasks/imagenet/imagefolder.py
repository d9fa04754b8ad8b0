"""ImageNet as the user has it, a folder of class folders, read by torchvision with worker processes.

    <folder>/train/<class>/*.JPEG
    <folder>/val/<class>/*.JPEG

What happens to an image is drawn from (seed, epoch, index), so that the batch of a step is the same one after a
resume, with any number of workers and of processes.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from normbench.core.errors import InputError, unknown
from tasks.images.augments import OF_FOLDERS
from tasks.images.batches import Order

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's references
FOLDERS = {"train": "train", "test": "val"}
_IMAGE = 2  # a stream of the seed; batches.py has the others
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises for a broken file


def transform(augment: str, pixels: int):
    """PIL image -> (3, pixels, pixels) float32, normalized. none: resize to 8/7 of pixels (256 for 224) and cut out the center."""
    from torchvision.transforms import v2

    if augment not in OF_FOLDERS:
        raise unknown("augment", "augmentation of an image folder", augment, OF_FOLDERS)
    if augment == "none":
        steps = [v2.Resize(round(pixels * 256 / 224)), v2.CenterCrop(pixels)]
    else:
        steps = [v2.RandomResizedCrop(pixels), v2.RandomHorizontalFlip()]
    if augment.endswith("jitter"):
        steps.append(v2.ColorJitter(0.4, 0.4, 0.4))
    return v2.Compose([*steps, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])


@dataclass(frozen=True)
class Folder:
    """A split as the list of its files. files: (path, label); pixels: height and width of what is cut out of an image."""

    files: list[tuple[str, int]]
    pixels: int

    @classmethod
    def read(cls, folder: Path, split: str, pixels: int) -> "Folder":
        """List the files with torchvision, which numbers the class folders in sorted order."""
        from torchvision.datasets import ImageFolder

        return cls(ImageFolder(str(Path(folder) / FOLDERS[split])).samples, pixels)

    def __len__(self) -> int:
        return len(self.files)


class Decoded(Dataset):
    """decoded[epoch, index] -> (x, y), or the sentence that says which file cannot be read."""

    def __init__(self, folder: Folder, augment: str, seed: int):
        self.files, self.seed, self.transform = folder.files, seed, transform(augment, folder.pixels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | str:
        epoch, index = key
        path, label = self.files[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except _UNREADABLE as error:
            return f"data: {path} cannot be read as an image ({error}); replace this file"
        state = torch.get_rng_state()  # without workers this is the training's own stream
        try:
            torch.default_generator.manual_seed(_seed_of(self.seed, epoch, index))
            return self.transform(image), label
        finally:
            torch.set_rng_state(state)


def _seed_of(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, _IMAGE, epoch, index]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _collate(samples: list[tuple[Tensor, int] | str]) -> tuple[Tensor, Tensor] | str:
    """A batch, or the first sentence: an exception would come out of a worker wrapped in its traceback."""
    for sample in samples:
        if isinstance(sample, str):
            return sample
    xs, ys = zip(*samples, strict=True)
    return torch.stack(xs), torch.tensor(ys, dtype=torch.int64)


class _Steps:
    """The (epoch, index) pairs of each step from `start` on, without end."""

    def __init__(self, order: Order, start: int):
        self.order, self.start = order, start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in itertools.count(self.start):
            epoch, indices = self.order.at(step)
            yield [(epoch, int(index)) for index in self.order.share(indices)]


def _loaded(decoded: Decoded, keys: Iterable, workers: int | None, device: str | torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    pinned = torch.device(device).type == "cuda"
    workers = min(8, (os.cpu_count() or 1) - 1) if workers is None else workers
    # A generator of its own: the loader draws from it, and otherwise a resumed training would find its own stream moved.
    loader = DataLoader(
        decoded, batch_sampler=keys, num_workers=workers, collate_fn=_collate, pin_memory=pinned, generator=torch.Generator()
    )
    for batch in loader:
        if isinstance(batch, str):
            raise InputError(batch)
        x, y = batch
        yield x.to(device, non_blocking=pinned), y.to(device, non_blocking=pinned)


class FolderBatches:
    """Iterate -> (x, y) of start_step, start_step + 1, ... without end, over all epochs, like batches.Batches.

    x: (B, 3, pixels, pixels) float32, normalized; y: (B,) int64. augment: none, resized_crop_flip,
    resized_crop_flip_jitter. workers: processes that decode, by default one a core up to 8 with one core left for
    the training. A file that cannot be decoded is an InputError with its name.
    """

    def __init__(
        self,
        folder: Folder,
        batch_size: int,
        seed: int,
        augment: str = "resized_crop_flip",
        start_step: int = 0,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
        device: str | torch.device = "cpu",
        workers: int | None = None,
    ):
        self.order = Order(len(folder), batch_size, seed, drop_last, rank, world_size)
        self.start_step, self.steps_per_epoch = start_step, self.order.steps_per_epoch
        self._decoded, self._workers, self._device = Decoded(folder, augment, seed), workers, device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return _loaded(self._decoded, _Steps(self.order, self.start_step), self._workers, self._device)


class FolderInOrder:
    """Iterate -> (x, y), each image once and in order; every world_size-th where several processes share them."""

    def __init__(
        self,
        folder: Folder,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: str | torch.device = "cpu",
        workers: int | None = None,
    ):
        keys = [(0, index) for index in range(rank, len(folder), world_size)]
        self._batches = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
        self._decoded, self._workers, self._device = Decoded(folder, "none", 0), workers, device

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return _loaded(self._decoded, self._batches, self._workers, self._device)
