"""What is known of a copy of Kinetics before anything trains: which clips can be read, how long they are, which copy it is.

Every file's header is opened once; what came of it is kept under build/data until a folder or a list changes.
"""

import csv
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from normbench.config.spec import digest
from normbench.core.errors import InputError
from normbench.core.files import whole_file, write_json
from normbench.core.schema import ROOT
from tasks.kinetics.layout import EXPECTED, SPLITS, Listing, list_file, read_layout
from tasks.kinetics.video import Unreadable, decoder, read_header

CACHE = ROOT / "build" / "data"
LARGEST_SHARE = 0.01  # of the clips of a split that may be unreadable
THREADS = 16  # that wait for the disk, most of the time


@dataclass(frozen=True)
class Clip:
    """path: within the dataset's folder. label: number of the class. frames, seconds, size: as in video.Header."""

    path: str
    label: int
    frames: int
    seconds: float
    size: int


@dataclass
class Split:
    """clips: those that can be read. listed: how many the official list has, None without one. unreadable: path -> reason."""

    clips: list[Clip]
    listed: int | None = None
    missing: list[str] = field(default_factory=list)
    strays: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def coverage(self) -> float | None:
        """Percent of the official list that is there and can be read."""
        return None if self.listed is None else 100 * len(self.clips) / self.listed


@dataclass
class Index:
    """A copy of a dataset. unreadable: the file that names what cannot be read, "" where everything can."""

    folder: Path
    classes: list[str]
    splits: dict[str, Split]
    unreadable: str = ""

    @property
    def sha256(self) -> str:
        """Of the clips that can be read: splits, paths, classes and sizes."""
        lines = (f"{split} {c.path} {self.classes[c.label]} {c.size}\n" for split, s in sorted(self.splits.items()) for c in s.clips)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_index(folder: Path, classes: int, cache: Path | None = CACHE) -> Index:
    """The index of `folder`, out of `cache` where nothing changed since. Raises InputError, one sentence, unless it can be trained on."""
    folder = Path(folder).resolve()
    kept = None if cache is None else cache / f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    state = _state(folder)
    index = _kept(folder, kept, state)
    if index is None:
        index = _made(folder)
        _keep(index, kept, state)
    _check(index, classes)
    return index


def unreadable_share(found: int, unreadable: dict[str, str], where: str, names: str) -> None:
    """Raises InputError where more than LARGEST_SHARE of the `found` clips cannot be read. names: the file that lists them."""
    if len(unreadable) <= LARGEST_SHARE * found:
        return
    path, reason = next(iter(sorted(unreadable.items())))
    listed = f"all are listed in {names}" if names else f"all: {', '.join(sorted(unreadable)[:20])}"
    raise InputError(
        f"data: {len(unreadable)} of {found} clips of {where} cannot be read, more than {LARGEST_SHARE:.0%}, the first is {path}, "
        f"which {reason}; {listed}; replace or remove these files"
    )


def _made(folder: Path) -> Index:
    listings = read_layout(folder)
    classes = listings["train"].classes
    return Index(folder, classes, {split: _probed(folder, listing, classes) for split, listing in listings.items()})


def _probed(folder: Path, listing: Listing, classes: list[str]) -> Split:
    numbers = {name: number for number, name in enumerate(classes)}
    split = Split([], listing.listed, listing.missing, listing.strays)

    def probe(entry: tuple[str, str]) -> Clip | tuple[str, str]:
        path, name = entry
        try:
            header = read_header(folder / path)
        except Unreadable as reason:
            return path, str(reason)
        return Clip(path, numbers[name], header.frames, round(header.seconds, 6), header.size)

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(probe, listing.clips, chunksize=64):
            if isinstance(found, Clip):
                split.clips.append(found)
            else:
                split.unreadable[found[0]] = found[1]
    return split


def _check(index: Index, classes: int) -> None:
    for name, split in index.splits.items():
        unreadable_share(len(split.clips) + len(split.unreadable), split.unreadable, f"{index.folder / name}", index.unreadable)
        if not split.clips:
            raise InputError(f"data: {index.folder / name} has no clip that can be read; {EXPECTED}")
    if len(index.classes) != classes:
        raise InputError(f"data: {index.folder / 'train'} has {len(index.classes)} classes in place of {classes}; {EXPECTED}")
    trained = {clip.label for clip in index.splits["train"].clips}
    if empty := [name for number, name in enumerate(index.classes) if number not in trained]:
        raise InputError(f"data: class {empty[0]!r} has no clip in {index.folder / 'train'} ({len(empty)} such); {EXPECTED}")


def _state(folder: Path) -> list[list[Any]]:
    """Folders and lists, and when something was last put into them or taken out; and what read the headers."""
    folders = [
        p for split in SPLITS if (folder / split).is_dir() for p in (folder / split, *sorted((folder / split).iterdir())) if p.is_dir()
    ]
    lists = [path for split in SPLITS if (path := list_file(folder, split))]
    replacement = [folder / "replacement"] if (folder / "replacement").is_dir() else []
    return [[decoder(), 0], *([p.relative_to(folder).as_posix(), p.stat().st_mtime_ns] for p in (*folders, *lists, *replacement))]


def _kept(folder: Path, kept: Path | None, state: list) -> Index | None:
    """What was kept, None where there is nothing, or of another state."""
    try:
        content = json.loads(kept.read_bytes()) if kept else {}
        if content.get("state") != state:
            return None
        splits = {name: Split(**{**split, "clips": [Clip(*c) for c in split["clips"]]}) for name, split in content["splits"].items()}
        return Index(folder, content["classes"], splits, content["unreadable"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never read, or not by us: it is written anew


def _keep(index: Index, kept: Path | None, state: list) -> None:
    if kept is None:
        return
    if any(split.unreadable for split in index.splits.values()):
        names = kept.with_suffix(".unreadable.csv")
        with whole_file(names, "w") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "reason"])
            writer.writerows(item for split in index.splits.values() for item in sorted(split.unreadable.items()))
        index.unreadable = str(names)
    splits = {name: {**asdict(split), "clips": [list(asdict(c).values()) for c in split.clips]} for name, split in index.splits.items()}
    write_json(kept, {"state": state, "classes": index.classes, "splits": splits, "unreadable": index.unreadable, "key": digest(state)})
