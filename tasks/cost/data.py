"""What the networks are fed: noise, every value from N(0, 1) on its own, in the shape that a recipe says.

Time depends on shapes and not on values, so there is nothing to download and nothing to learn.
"""

from pathlib import Path

import torch
from torch import Tensor

from normbench.config.spec import digest

NOISE = "noise"
CHANNELS, CLASSES = 3, 10


def prepare(folder: Path) -> str:
    """The dataset's folder, which stays empty; returns the hash of what describes the noise."""
    folder.mkdir(parents=True, exist_ok=True)
    return data_sha256()


def data_sha256() -> str:
    return digest({"dataset": NOISE, "channels": CHANNELS, "classes": CLASSES})


def noise(shape: tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    """A tensor of `shape`, float32."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)


def labels(samples: int, seed: int, device: torch.device) -> Tensor:
    """(samples,) classes at random."""
    return torch.randint(CLASSES, (samples,), generator=torch.Generator().manual_seed(seed)).to(device)
