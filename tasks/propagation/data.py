"""Batches for untrained networks: Gaussian noise, or the images of the imagenet task.

gaussian: (N, 3, 8, 8), every value drawn from N(0, 1) on its own (covariance: the identity), labels at random.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from normbench.config.spec import digest
from normbench.core.errors import InputError
from tasks.imagenet import data as images
from tasks.propagation.recipe import GAUSSIAN

SHAPE, CLASSES = (3, 8, 8), 10


def in_shape(dataset: str) -> tuple[int, int, int]:
    return SHAPE if dataset == GAUSSIAN else images.in_shape(dataset)


def num_classes(dataset: str) -> int:
    return CLASSES if dataset == GAUSSIAN else images.num_classes(dataset)


def data_sha256(dataset: str, folder: Path) -> str:
    """Of noise, what describes it; its values follow from the seed of a run."""
    return digest({"dataset": GAUSSIAN, "shape": SHAPE, "classes": CLASSES}) if dataset == GAUSSIAN else images.data_sha256(dataset, folder)


def batch(dataset: str, folder: Path, samples: int, number: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(x, y) of so many samples; batches of one size and different numbers have none in common as long as the images last."""
    if dataset == GAUSSIAN:
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        x = torch.randn(samples, *SHAPE, generator=generator)
        return x.to(device), torch.randint(CLASSES, (samples,), generator=generator).to(device)
    loader = images.train_batches(dataset, folder, batch_size=samples, seed=seed, start_step=number, device=device)
    x, y = next(iter(loader))
    if len(x) < samples:
        raise InputError(f"{dataset}: a batch of {samples} samples is wanted and the training images are only {len(x)}")
    return x, y
