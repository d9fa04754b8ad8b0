"""The datasets of the coco task behind one face: made or checked, read once a process, and identified.

digit_scenes  embedded (embedded.py)
coco          the user's COCO 2017, FOLDER/coco of --config data=FOLDER
"""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

from PIL import Image as Picture

from normbench.core.errors import InputError, unknown
from normbench.execution.manifest import read_manifest
from tasks.coco import embedded
from tasks.coco.annotations import EXPECTED, SPLITS, Split, read_split

DATASETS = (embedded.DATASET, "coco")
OPENED = 1000  # images of a split whose header is read before anything trains; all of them would take minutes


def prepare(dataset: str, folder: Path) -> str:
    """Make the embedded dataset or check the user's; returns its hash. What entries are left out is said in a line."""
    folder = Path(folder)
    if dataset == embedded.DATASET:
        embedded.make(folder)
    elif not folder.is_dir() or not any(folder.iterdir()):
        wanted = f"{EXPECTED}; --config data=FOLDER names another place, FOLDER/{dataset}"
        raise InputError(f"data: {folder} is {'empty' if folder.is_dir() else 'missing'}; {wanted}")
    for name in SPLITS:
        split = load(dataset, folder, name)
        check_images(split)
        if said := split.report():
            print(said, file=sys.stderr)
    return data_sha256(dataset, folder)


def load(dataset: str, folder: Path, split: str) -> Split:
    """The split train2017 or val2017 of a dataset."""
    if dataset not in DATASETS:
        raise unknown("data", "dataset of the coco task", dataset, DATASETS)
    if split not in SPLITS:
        raise unknown(f"data: {dataset}", "split", split, SPLITS)
    return _load(Path(folder).resolve(), split)


@cache
def _load(folder: Path, split: str) -> Split:
    found = read_split(folder, split)
    if split == SPLITS[0] and not any(image.trains for image in found.images):
        raise InputError(f"data: {found.path}: no image has an object that is no crowd, so there is nothing to train on")
    return found


def check_images(split: Split) -> None:
    """Every image of the annotations is there; the headers of some are read, and say the size that the annotations say."""
    folder = split.images[0].path.parent
    there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    missing = [image for image in split.images if image.path.name not in there]
    if missing:
        raise InputError(
            f"data: {missing[0].path} is missing ({len(missing)} of {len(split.images)} that {split.path.name} lists are); {EXPECTED}"
        )
    for image in split.images[:: max(1, len(split.images) // OPENED)]:
        try:
            with Picture.open(image.path) as picture:
                size = picture.size
        except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError):
            raise InputError(f"data: {image.path} is no image or a truncated one; replace this file") from None
        if size != (image.width, image.height):
            raise InputError(
                f"data: {image.path} has {size[0]} x {size[1]} pixels, and {split.path.name} says {image.width} x {image.height}: "
                "one of the two is of another version"
            )


def data_sha256(dataset: str, folder: Path) -> str:
    """What identifies the data: embedded, of pixels and annotations; coco, of both annotation files, which list all images."""
    if dataset == embedded.DATASET:
        return read_manifest(dataset, folder)["data_sha256"]
    return _annotations_sha256(Path(folder).resolve())


@cache
def _annotations_sha256(folder: Path) -> str:
    hashed = hashlib.sha256()
    for name in SPLITS:
        with open(folder / "annotations" / f"instances_{name}.json", "rb") as file:
            hashed.update(hashlib.file_digest(file, "sha256").digest())
    return hashed.hexdigest()
