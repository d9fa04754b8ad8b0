"""The user's Kinetics as it lies on the disk: which clips the official list names, which are there, and of which class. No torch here.

<folder>/{train,val}.csv or annotations/{train,val}.csv    CVDF's lists: label,youtube_id,time_start,time_end,...
<folder>/{train,val}/**/<youtube_id>_<start>_<end>.mp4     trimmed clips, in one folder or in folders by class
<folder>/replacement/**/<youtube_id>*.mp4                  CVDF's, in the place of files that it lists as corrupted
<folder>/{train,val}/<class>/*.mp4                         without a list: the folder is the class
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from normbench.core.errors import InputError

SPLITS = ("train", "val")
SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov")
COLUMNS = ("label", "youtube_id", "time_start", "time_end")
EXPECTED = (
    "Kinetics belongs there as train/ and val/ with trimmed clips in folders by class, "
    "or as train.csv and val.csv (label,youtube_id,time_start,time_end) beside train/ and val/"
)


@dataclass
class Listing:
    """A split. clips: (path within the folder, class), sorted. listed: clips of the official list, None where there is none.

    missing: names on the list of which there is no file. strays: how many files are on no list.
    """

    clips: list[tuple[str, str]]
    classes: list[str]
    listed: int | None = None
    missing: list[str] = field(default_factory=list)
    strays: int = 0


def read_layout(folder: Path) -> dict[str, Listing]:
    """The listing of each split. Raises InputError, one sentence, where something does not fit."""
    folder = Path(folder)
    found = {split: _split(folder, split) for split in SPLITS}
    for split, listing in found.items():
        if not listing.clips:
            raise InputError(f"data: {folder / split} has no clip{' of its list' if listing.listed else ''}; {EXPECTED}")
    known = set(found["train"].classes)
    if strange := [name for name in found["val"].classes if name not in known]:
        raise InputError(
            f"data: class {strange[0]!r} is in {folder / 'val'} but not in {folder / 'train'} ({len(strange)} such); {EXPECTED}"
        )
    return found


def list_file(folder: Path, split: str) -> Path | None:
    """The official list of a split, where the user has it."""
    return next((path for path in (folder / f"{split}.csv", folder / "annotations" / f"{split}.csv") if path.is_file()), None)


def _split(folder: Path, split: str) -> Listing:
    if not (folder / split).is_dir():
        raise InputError(f"data: {folder / split} is missing; {EXPECTED}")
    files = sorted(_videos(folder / split))
    official = list_file(folder, split)
    return _of_folders(folder, split, files) if official is None else _of_list(folder, official, files)


def _videos(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, followlinks=True):
        yield from (Path(parent, name) for name in names if name.lower().endswith(SUFFIXES))


def _of_folders(folder: Path, split: str, files: list[Path]) -> Listing:
    for path in files:
        if path.parent.parent != folder / split:
            raise InputError(f"data: {path} lies in no folder of its class, and there is no {split}.csv that would tell it; {EXPECTED}")
    with os.scandir(folder / split) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir())
    return Listing([(path.relative_to(folder).as_posix(), path.parent.name) for path in files], classes)


def _of_list(folder: Path, official: Path, files: list[Path]) -> Listing:
    """Clips by their official names, or by the video's alone, as some downloaders call them."""
    rows = list(_rows(official))
    by_name = {path.stem: path for path in files}
    # In the place of what they replace, by the eleven letters of the video: as CVDF's own arrange_by_classes.py does.
    replaced = {path.stem[:11]: path for path in sorted(_videos(folder / "replacement"))}
    clips, missing = [], []
    for label, video, name in rows:
        path = replaced.get(video) or by_name.get(name) or by_name.get(video)
        if path is None:
            missing.append(name)
        else:
            clips.append((path.relative_to(folder).as_posix(), label))
    used = {path for path, _ in clips}
    strays = sum(path.relative_to(folder).as_posix() not in used for path in files)
    return Listing(sorted(clips), sorted({label for label, _, _ in rows}), len(rows), missing, strays)


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """(label, video, name of the clip's file) of each line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if lacking := [name for name in COLUMNS if name not in columns]:
            raise InputError(
                f"data: {path} has no column {lacking[0]!r} but {', '.join(map(repr, columns[:8])) or 'nothing'}; "
                f"the list that CVDF gives out has {','.join(COLUMNS)}"
            )
        for row in reader:
            try:
                name = f"{row['youtube_id']}_{int(row['time_start']):06d}_{int(row['time_end']):06d}"
            except (TypeError, ValueError):
                raise InputError(
                    f"data: {path}, line {reader.line_num}: time_start and time_end must be whole seconds, "
                    f"got {row['time_start']!r} and {row['time_end']!r}"
                ) from None
            yield row["label"].strip(), row["youtube_id"], name
