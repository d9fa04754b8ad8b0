"""What can be known of the user's ImageNet before anything trains: is it whole, and which one is it. No torch here."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from normbench.core.errors import InputError
from normbench.core.schema import ROOT

SPLITS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's ImageFolder
EXPECTED = "ImageNet belongs there as train/<class>/*.JPEG and val/<class>/*.JPEG with the same 1000 class folders in both"
CACHE = ROOT / "build" / "data"


def check(folder: Path, classes: int) -> None:
    """Raises InputError unless train and val have the same `classes` class folders, each with images of which one was opened."""
    folder = Path(folder)
    found = {split: _class_folders(folder / split) for split in SPLITS}
    for split, names in found.items():
        if len(names) < 2:
            raise InputError(f"data: {folder / split} has {_counted(names)}, and telling apart needs two; {EXPECTED}")
    for here, there in (SPLITS, SPLITS[::-1]):
        if missing := sorted(set(found[here]) - set(found[there])):
            raise InputError(
                f"data: class {missing[0]!r} is in {folder / here} but not in {folder / there} ({len(missing)} such); {EXPECTED}"
            )
    for split in SPLITS:
        for number, name in enumerate(found[split]):
            _check_class(folder / split / name, number)
    if len(found["train"]) != classes:
        raise InputError(f"data: {folder / 'train'} has {len(found['train'])} class folders in place of {classes}; {EXPECTED}")


def data_sha256(folder: Path, cache: Path = CACHE) -> str:
    """Of the sorted paths and sizes of all images, kept under `cache` until a class folder changes.

    A file replaced in place by one of another size is noticed once the cache is deleted.
    """
    folder = Path(folder).resolve()
    state = _state(folder)
    kept = Path(cache) / f"imagenet-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    try:
        content = json.loads(kept.read_bytes())
        if content["state"] == state:
            return content["data_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never hashed, or not by us: it is written anew
    rolled = hashlib.sha256()
    for path, size in sorted(_images(folder)):
        rolled.update(f"{path} {size}\n".encode())
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_name(f".{kept.name}.{os.getpid()}")
    unfinished.write_text(json.dumps({"folder": str(folder), "state": state, "data_sha256": rolled.hexdigest()}) + "\n")
    unfinished.replace(kept)
    return rolled.hexdigest()


def _class_folders(path: Path) -> list[str]:
    if not path.is_dir():
        raise InputError(f"data: {path} is missing; {EXPECTED}")
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def _counted(names: list[str]) -> str:
    return f"one class folder only, {names[0]!r}" if names else "no class folder"


def _check_class(path: Path, number: int) -> None:
    """One image of each class is opened, not always the first: its header only, for decoding all takes hours."""
    with os.scandir(path) as entries:
        images = sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))
    if not images:
        raise InputError(f"data: {path} has no image; {EXPECTED}")
    chosen = path / images[number * 7919 % len(images)]
    try:
        with Image.open(chosen):
            pass
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f"data: {chosen} is no image or a truncated one; replace this file") from None


def _state(folder: Path) -> list[list]:
    """Class folders and when something was last put into them or taken out."""
    return [[f"{split}/{name}", (folder / split / name).stat().st_mtime_ns] for split in SPLITS for name in _class_folders(folder / split)]


def _images(folder: Path) -> Iterator[tuple[str, int]]:
    for split in SPLITS:
        for parent, _, names in os.walk(folder / split, followlinks=True):
            for name in names:
                if name.lower().endswith(SUFFIXES):
                    path = Path(parent, name)
                    yield path.relative_to(folder).as_posix(), path.stat().st_size
