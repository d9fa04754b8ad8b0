"""The embedded set: scikit-learn's handwritten digits, each moving in one of eight ways, as MP4 clips laid out like Kinetics.

    <folder>/manifest.json
    <folder>/{train,val}.csv                                        as CVDF writes them
    <folder>/{train,val}/<class>/<digit>-<n>_000000_000002.mp4      a digit by its number in scikit-learn's list, clip n

Digits of val are not among those of train. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits,
UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0. No torch here.
"""

import csv
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normbench.execution import manifest
from tasks.images.handwritten import SOURCE, load_digits, split_digits
from tasks.kinetics.layout import COLUMNS
from tasks.kinetics.render import CLASSES, FRAMES, HEIGHT, render
from tasks.kinetics.video import encoder, read_frames, write_video

NAME = "motions"
PER_CLASS = {"train": 100, "val": 40}
RATE = 10  # frames a second
SEED = 20200612  # of digits and drawings: part of the dataset, not a run's choice
SHORT_SIDE = HEIGHT
_SPLIT = {"train": "train", "val": "test"}  # ours -> the digits'


class Drawing(NamedTuple):
    """One clip: where it belongs, which digit of its split it shows, and what it is drawn from."""

    split: str
    label: str
    name: str
    digit: int
    seed: list[int]

    @property
    def path(self) -> str:
        return f"{self.split}/{self.label}/{self.name}_{0:06d}_{FRAMES // RATE:06d}.mp4"


def make(folder: Path) -> dict[str, Any]:
    """Make the set in `folder` unless it is there, whole or not at all, and return its manifest.

    Raises InputError where `folder` holds something else or a damaged copy.
    """
    return manifest.make(NAME, folder, _write)


def _write(folder: Path) -> dict[str, Any]:
    """All files; returns what the manifest says. data_sha256 is of paths and decoded frames: what a network sees."""
    drawings, seen = sorted(_drawings(), key=lambda drawing: drawing.path), hashlib.sha256()
    # Encoding is most of it, and each clip is drawn from a seed of its own.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        for decoded in pool.map(partial(_write_clip, folder, _digits()), drawings, chunksize=32):
            seen.update(decoded)
    for split in PER_CLASS:
        _write_csv(folder / f"{split}.csv", [drawing for drawing in drawings if drawing.split == split])
    return {
        "data_sha256": seen.hexdigest(),
        "license": "CC BY 4.0",
        "source": SOURCE,
        "classes": list(CLASSES),
        "encoder": encoder(),
        "counts": {split: count * len(CLASSES) for split, count in PER_CLASS.items()},
    }


def _write_clip(folder: Path, digits: dict[str, np.ndarray], drawing: Drawing) -> bytes:
    """Draw and encode one clip; returns its path and shape and what a decoder sees of it."""
    frames = render(digits[drawing.split], drawing.digit, drawing.label, np.random.default_rng(drawing.seed))
    write_video(folder / drawing.path, frames, RATE)
    decoded = read_frames(folder / drawing.path, [t / RATE for t in range(FRAMES)])
    return f"{drawing.path} {decoded.shape}\n".encode() + decoded.tobytes()


def _write_csv(path: Path, drawings: list[Drawing]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, "split"])
        writer.writerows([drawing.label, drawing.name, 0, FRAMES // RATE, drawing.split] for drawing in drawings)


def _digits() -> dict[str, np.ndarray]:
    """(N, 8, 8) uint8 of each split, 0 is paper and 255 is ink."""
    ink, numbers = _source()
    return {split: ink[chosen] for split, chosen in numbers.items()}


def _source() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """All digits, and the numbers of those in each split."""
    ink, labels = load_digits()
    numbers = split_digits(labels)
    return ink, {split: numbers[theirs] for split, theirs in _SPLIT.items()}


def _drawings() -> Iterator[Drawing]:
    """Every clip: the digits of a split in an order drawn once, each as often as any other."""
    _, numbers = _source()
    for place, (split, count) in enumerate(PER_CLASS.items()):
        order = np.random.default_rng([SEED, place]).permutation(len(numbers[split]))
        for label, motion in enumerate(CLASSES):
            for n in range(count):
                digit = int(order[(label * count + n) % len(order)])
                yield Drawing(split, motion, f"{numbers[split][digit]:04d}-{n:03d}", digit, [SEED, place, label, n])
