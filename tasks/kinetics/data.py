"""The datasets of the kinetics task behind one face: prepare, index, sources of frames, and what could not be read.

    motions                                embedded: made offline (motions.py)
    kinetics400, kinetics600, kinetics700  the user's files (layout.py, index.py)

`folder` is always the dataset's own folder, FOLDER/<dataset> of --config data=FOLDER.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from normbench.config.datasets import read_datasets
from normbench.core.errors import InputError
from normbench.execution import manifest
from normbench.training.checkpoint import Checkpoints
from normbench.training.distributed import collected
from tasks.kinetics import motions
from tasks.kinetics.batches import Files, Held, Source
from tasks.kinetics.index import Index, read_index, unreadable_share
from tasks.kinetics.layout import EXPECTED
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.video import decoder

CPU = torch.device("cpu")
CLASSES = {name: dataset.classes for name, dataset in read_datasets(Path(__file__).with_name("task.yaml")).items()}


def prepare(dataset: str, folder: Path) -> str:
    """Make the embedded set, or check the user's; returns its hash. Raises InputError, one sentence, where something is wrong."""
    if dataset == motions.NAME:
        motions.make(folder)
    read(dataset, folder)
    return data_sha256(dataset, folder)


def data_sha256(dataset: str, folder: Path) -> str:
    """Embedded: of paths and decoded frames; the user's: of the list of readable clips with classes and sizes."""
    return manifest.read_manifest(dataset, folder)["data_sha256"] if dataset == motions.NAME else read(dataset, folder).sha256


def read(dataset: str, folder: Path) -> Index:
    """The index of the dataset, read once a process."""
    folder = Path(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        wanted = f"{EXPECTED}; --config data=FOLDER names another place, FOLDER/{dataset}"
        if dataset == motions.NAME:
            wanted = "the next `snakemake all` makes it"
        raise InputError(f"data: {folder} is {'empty' if folder.is_dir() else 'missing'}; {wanted}")
    return _read(dataset, folder.resolve())


@cache
def _read(dataset: str, folder: Path) -> Index:
    if dataset == motions.NAME:
        manifest.verify(dataset, folder)
        return read_index(folder, CLASSES[dataset], cache=None)
    return read_index(folder, CLASSES[dataset])


def source(dataset: str, folder: Path, split: str, recipe: Recipe) -> Source:
    """Where the frames of a split come from: memory, where the set is small and no frame is scaled, else its files."""
    index = read(dataset, folder)
    if dataset == motions.NAME and {*recipe.short_side, recipe.test_short_side} == {motions.SHORT_SIDE}:
        return _held(index.folder, split)
    return Files(index.folder, index.splits[split].clips)


@cache
def _held(folder: Path, split: str) -> Held:
    return Held(folder, _read(motions.NAME, folder).splits[split].clips, motions.RATE)


class Unread:
    """The clips of a run that could not be read: those that the index knows, and those found out later, while training."""

    def __init__(self, index: Index):
        self.index, self.found = index, {name: dict(split.unreadable) for name, split in index.splits.items()}

    def failed(self, split: str, clip: int, reason: str) -> None:
        """Note one. Raises InputError once they are too many."""
        known, clips = self.found[split], self.index.splits[split].clips
        if clips[clip].path not in known:
            known[clips[clip].path] = reason
            total = len(clips) + len(self.index.splits[split].unreadable)
            unreadable_share(total, known, str(self.index.folder / split), "")

    def agree(self, device: torch.device) -> None:
        """Every process learns what the others could not read."""
        for found in collected(self.found, device):
            for name, clips in found.items():
                self.found[name] |= clips

    def metrics(self) -> dict[str, float]:
        """How many, and how much of the official lists is there, per split."""
        values = {f"unreadable_{name}": float(len(found)) for name, found in self.found.items()}
        covered = {f"coverage_{name}": split.coverage for name, split in self.index.splits.items()}
        return values | {name: value for name, value in covered.items() if value is not None}

    def notes(self, recipe: Recipe) -> dict[str, str]:
        """In words, for the record."""
        notes = {"decoder": decoder()}
        for name, split in self.index.splits.items():
            here = f"{len(split.clips):,} clips can be read"
            listed = (
                f", {split.listed:,} are on the official list, {len(split.missing):,} of those missing" if split.listed else ", no list"
            )
            short = sum(clip.seconds < recipe.span for clip in split.clips)
            notes[f"clips_{name}"] = f"{here}{listed}; {short:,} are shorter than {recipe.span:.2f} s, their last frame stands"
            if self.found[name]:
                notes[f"unreadable_{name}"] = "; ".join(f"{path}: {reason}" for path, reason in sorted(self.found[name].items()))
        return notes


class KeepingUnread:
    """Checkpoints that also hold what could not be read, so that a resumed run lists the clips that it met before."""

    def __init__(self, given: Checkpoints, unread: Unread, device: torch.device = CPU):
        self._given, self._unread, self._device = given, unread, device

    def due(self) -> bool:
        return self._given.due()

    def save(self, state: dict[str, Any]) -> None:
        self._unread.agree(self._device)
        self._given.save({**state, "unread": self._unread.found})

    def load(self, device: torch.device) -> dict[str, Any] | None:
        state = self._given.load(device)
        if state is not None:
            self._unread.found = state.pop("unread")
        return state
