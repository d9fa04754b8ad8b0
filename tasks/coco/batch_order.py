"""Which images stand in the batch of a step: a function of the seed and the step, whichever engine trains and whenever it was resumed."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tasks.coco.annotations import Image

ORDER, CHOICES = 0xC0, 0xC1  # what a random number is for


class Draw(NamedTuple):
    """One training sample: the image's number, whether it is mirrored, and the seed of whatever else is chosen for it."""

    index: int
    flip: bool
    seed: int


def draws(images: list[Image], batch_size: int, flip: bool, seed: int, start: int = 0) -> Iterator[list[Draw]]:
    """The batches from step `start` on, without end. In each epoch every image stands in at most one of them.

    Wide and tall images stand in batches of their own as far as they go, because a batch is padded to its largest image.
    """
    shapes = tuple(image.width > image.height for image in images)
    size = min(batch_size, len(images))
    per_epoch = len(images) // size
    step = start
    while True:
        batch = _epoch(shapes, size, seed, step // per_epoch)[step % per_epoch]
        rng = np.random.default_rng((seed, step, CHOICES))
        mirrored = rng.random(size) < 0.5
        seeds = rng.integers(2**31, size=size)
        yield [Draw(int(i), flip and bool(m), int(s)) for i, m, s in zip(batch, mirrored, seeds, strict=True)]
        step += 1


@lru_cache(maxsize=2)
def _epoch(shapes: tuple[bool, ...], size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch: each group's whole ones, then those made of what is left, in random order."""
    rng = np.random.default_rng((seed, epoch, ORDER))
    order, wide = rng.permutation(len(shapes)), np.array(shapes)
    groups = [order[wide[order]], order[~wide[order]]]
    whole = [len(group) // size * size for group in groups]
    rest = np.concatenate([group[count:] for group, count in zip(groups, whole, strict=True)])
    together = np.concatenate([group[:count] for group, count in zip(groups, whole, strict=True)] + [rest])
    batches = [together[i * size : (i + 1) * size] for i in range(len(shapes) // size)]
    return [batches[i] for i in rng.permutation(len(batches))]
