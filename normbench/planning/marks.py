"""Marks: which files a step of the line made, and what they held. Torch-free.

build/<tier>/made/<step>.json holds the SHA-256 of every file that the step wrote, and is a rule's output. A file that was edited, cut or
removed since makes the mark untrue: then a name is asked for that is not there (<step>-1.json), so that Snakemake makes the files again,
and nothing has to be removed in order to look.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.files import read_json, write_json


def names(first: str) -> Iterator[str]:
    """first, first-1, first-2, ...: a file of that name that says what is true no more is left, and the next one is asked for."""
    return itertools.chain([first], (f"{first}-{i}" for i in itertools.count(1)))


def mark_of(first: Path, root: Path) -> tuple[Path, list[str]]:
    """The mark to ask for, and the files below `root` that are not as they were made. first: the mark's name as long as it is true.

    The mark is there if all is well; if it is missing, the step is still to be done.
    """
    altered: list[str] = []
    for mark in _marks(first):
        altered = untrue(mark, root)
        if not altered:
            return mark, []
    free = (first.with_name(f"{name}.json") for name in names(first.stem))
    return next(mark for mark in free if not mark.exists()), altered


def _marks(first: Path) -> list[Path]:
    """Those of a step, whatever their numbers."""
    return sorted(mark for mark in first.parent.glob(f"{first.stem}*.json") if mark.stem.partition("-")[0] == first.stem)


def untrue(mark: Path, root: Path) -> list[str]:
    """The files of a mark that are not as it says, or the mark itself if it cannot be read."""
    try:
        said = read_json(mark)["files"]
        return [name for name, sha in said.items() if _sha256(root / name) != sha]
    except (InputError, KeyError, TypeError, AttributeError):
        return [str(mark.relative_to(root))]


def write_mark(mark: Path | None, root: Path, files: Iterable[Path], **more: object) -> None:
    """Say that the files, below `root`, are made. Other marks of the step go. more: what else to say. Without a mark, nothing is said."""
    if mark is None:
        return
    write_json(mark, {"files": {str(file.relative_to(root)): _sha256(file) for file in sorted(files)}, **more})
    for other in _marks(mark.with_name(f"{mark.stem.partition('-')[0]}.json")):
        if other != mark:
            other.unlink()


def _sha256(file: Path) -> str | None:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None
