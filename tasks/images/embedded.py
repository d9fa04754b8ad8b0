"""The embedded datasets: scikit-learn's 1,797 handwritten digits as folders of PNGs, made offline in seconds.

    <folder>/manifest.json
    <folder>/{train,test}/<class>/<digit>.png       digits: 8x8, grey
    <folder>/{train,test}/<class>/<digit>_<r>.png   digits32: 32x32, color, rendering r of the digit

<digit> is its number in scikit-learn's list. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0. No torch here.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from normbench.core.errors import unknown
from normbench.execution import manifest
from tasks.images.handwritten import SOURCE, load_digits, split_digits
from tasks.images.render import render

SPLITS = ("train", "test")
RENDERINGS = {"digits": {"train": 1, "test": 1}, "digits32": {"train": 3, "test": 2}}  # pictures a digit
SEED = 20200612  # of the renderings: part of the dataset, not a run's choice


def make(dataset: str, folder: Path) -> dict[str, Any]:
    """Make `dataset` in `folder` unless it is there, whole or not at all, and return its manifest.

    Raises InputError where `folder` holds something else or a damaged copy.
    """
    if dataset not in RENDERINGS:
        raise unknown("make", "embedded dataset", dataset, RENDERINGS)
    return manifest.make(dataset, folder, lambda unfinished: _write(dataset, unfinished))


def decode(content: bytes) -> np.ndarray:
    """A PNG as (H, W, 3) uint8; grey comes back as three equal channels, so that all models take three."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def contact_sheet(dataset: str, folder: Path, rows: int = 4, zoom: int = 2) -> Image.Image:
    """A few training pictures of each class, one column a class, in 128 colors so that the file stays small."""
    names = list(manifest.read_manifest(dataset, folder)["files"])
    columns = [[name for name in names if name.startswith(f"train/{label}/")][:: 300 // rows][:rows] for label in range(10)]
    pictures = [[decode((Path(folder) / name).read_bytes()) for name in column] for column in columns]
    sheet = Image.fromarray(np.concatenate([np.concatenate(column) for column in pictures], axis=1))
    return sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).quantize(128)


def _write(dataset: str, folder: Path) -> dict[str, Any]:
    """All files; returns what the manifest says. data_sha256 rolls up paths and pixels, so that it does not hang on the version of zlib."""
    counts, pixels, moments = {split: [0] * 10 for split in SPLITS}, hashlib.sha256(), []
    for split, label, name, image in sorted(_pictures(dataset), key=lambda picture: picture[2]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, format="PNG", compress_level=6)
        counts[split][label] += 1
        pixels.update(f"{name} {image.shape}\n".encode() + image.tobytes())
        if split == "train":
            moments.append(image.reshape(-1, image.shape[2] if image.ndim == 3 else 1))
    mean, std = _mean_and_std(np.concatenate(moments))
    return {
        "data_sha256": pixels.hexdigest(),
        "license": "CC BY 4.0",
        "source": SOURCE,
        "classes": [str(label) for label in range(10)],
        "counts": counts,
        "mean": mean,
        "std": std,
    }


def _mean_and_std(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Per channel, of intensities in 0..1; one grey channel counts for three. Six digits are more than training can tell."""
    mean, std = (values.mean(axis=0) / 255, values.std(axis=0) / 255)
    return [[round(float(x), 6) for x in np.broadcast_to(moment, 3)] for moment in (mean, std)]


def _pictures(dataset: str) -> Iterator[tuple[str, int, str, np.ndarray]]:
    """(split, label, path, image) of everything in the dataset."""
    digits, labels = load_digits()
    for split, numbers in split_digits(labels).items():
        ours = digits[numbers]
        for position, number in enumerate(numbers):
            label = int(labels[number])
            if dataset == "digits":
                yield split, label, f"{split}/{label}/{number:04d}.png", ours[position]
                continue
            for rendering in range(RENDERINGS[dataset][split]):
                image = render(ours, position, np.random.default_rng([SEED, number, rendering]))
                yield split, label, f"{split}/{label}/{number:04d}_{rendering}.png", image
