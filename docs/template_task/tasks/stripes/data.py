"""Images of stripes: (N, 1, 8, 8) float32, and labels (N,) of the four directions in which they run. The same on every machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from normbench.core.errors import InputError
from normbench.core.files import whole_file

SIDE, CLASSES = 8, 4
TRAIN, TEST = 512, 256
NOISE = 0.5  # standard deviation, beside stripes between -1 and 1


def make(folder: Path) -> str:
    """Write the dataset and return its hash."""
    with whole_file(folder / "stripes.npz") as file:
        np.savez(file, **_arrays())
    return data_sha256(folder)


def data_sha256(folder: Path) -> str:
    """SHA-256 of all images and labels: runs on other data are other runs."""
    arrays = _read(folder)
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()


def split(folder: Path, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """All images and labels of "train" or "test"."""
    arrays = _read(folder)
    return torch.from_numpy(arrays[f"{name}_x"]).to(device), torch.from_numpy(arrays[f"{name}_y"]).to(device)


def batches(x: Tensor, y: Tensor, batch_size: int, seed: int, start: int, rank: int, world_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches from step `start` on; rank, world_size: this process's share of each.

    A step's samples depend on seed and step alone, so that a run that was interrupted goes on with those that it would have had.
    """
    while True:
        drawn = np.random.default_rng([seed, start]).choice(len(y), batch_size, replace=False)[rank::world_size]
        chosen = torch.from_numpy(drawn).to(y.device)
        yield x[chosen], y[chosen]
        start += 1


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(20)
    (train_x, train_y), (test_x, test_y) = _draw(rng, TRAIN), _draw(rng, TEST)
    return {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}


def _draw(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(CLASSES, size=count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = np.sin(np.cos(angle) * columns + np.sin(angle) * rows + rng.uniform(0, 2 * np.pi, (count, 1, 1)))
    # Sines differ in the last bit between machines: rounded, they have one hash.
    images = np.round(waves + NOISE * rng.standard_normal(waves.shape), 3).astype(np.float32)
    return images[:, None], labels.astype(np.int64)


def _read(folder: Path) -> dict[str, np.ndarray]:
    path = folder / "stripes.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); remove the folder, and `snakemake all` makes it again") from error
