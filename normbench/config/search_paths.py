"""Where methods, tasks and papers are looked for. Torch-free; resolved once a process.

In this order: the suite's own folders; those that `--config methods_path=... tasks_path=... papers_path=...` name, which every process
of a workflow finds in its environment (NORMBENCH_METHODS_PATH and so on); those of installed packages, whose entry points in the groups
normbench.methods, normbench.tasks and normbench.papers name a package or module whose folder holds the files.
No folder comes before another: a name in two of them is a mistake of whoever asks for it.
"""

import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, TypeVar

from normbench.core.errors import InputError, unknown, warn
from normbench.core.schema import ROOT, shown

KINDS = ("methods", "tasks", "papers")
KEYS = tuple(f"{kind}_path" for kind in KINDS)  # of --config
VARIABLES = {kind: f"NORMBENCH_{kind.upper()}_PATH" for kind in KINDS}

Found = TypeVar("Found")


def use_config(config: Mapping[str, Any]) -> None:
    """Hand the folders that --config names to this process and those it starts; a folder that cannot be read is an InputError.

    A key that is missing leaves what the environment says.
    """
    for kind in KINDS:
        given = config.get(f"{kind}_path", "")
        words = _words(given) if isinstance(given, str) else [str(word) for word in given]
        if words:
            os.environ[VARIABLES[kind]] = os.pathsep.join(str(Path(word).expanduser().absolute()) for word in words)
        folders(kind)


def folders(kind: str) -> tuple[Path, ...]:
    """The folders of a kind, the suite's own first. InputError with the key and the path for one that cannot be read."""
    return _folders(kind, os.environ.get(VARIABLES[kind], ""))


@cache
def _folders(kind: str, path: str) -> tuple[Path, ...]:
    found = [ROOT / kind]
    for word in _words(path):
        folder = Path(word).expanduser().absolute()
        if wrong := _fault(folder):
            raise InputError(f"--config {kind}_path (or {VARIABLES[kind]}): the folder {str(folder)!r} {wrong}")
        found.append(folder)
    unique: dict[Path, Path] = {}
    for folder in (*found, *_installed(kind)):
        unique.setdefault(folder.resolve(), folder)
    return tuple(unique.values())


def _fault(folder: Path) -> str:
    if not folder.exists():
        return "does not exist"
    if not folder.is_dir():
        return "is not a folder"
    return "" if os.access(folder, os.R_OK | os.X_OK) else "cannot be read"


def _words(path: str) -> list[str]:
    return [word.strip() for word in re.split("[:,]", path) if word.strip()]


@cache
def _installed(kind: str) -> list[Path]:
    """The folders of installed packages; one that is not where its entry point says costs itself."""
    found = []
    for entry in _entry_points().get(f"normbench.{kind}", ()):
        folder = module_folder(entry.module)
        if folder is None:
            warn(f"the entry point {entry.name} = {entry.value} of normbench.{kind} names no package that is installed; it is left out")
        else:
            found.append(folder)
    return found


@cache
def _entry_points() -> dict[str, list[EntryPoint]]:
    """group -> the entry points of installed packages, once for the three groups. Few packages have any: parsing the others' costs most."""
    found: dict[str, list[EntryPoint]] = {}
    seen = set()
    for package in distributions():
        if "normbench." in (package.read_text("entry_points.txt") or "") and package.name not in seen:
            seen.add(package.name)  # of one that is installed twice the first is imported
            for entry in package.entry_points:
                found.setdefault(entry.group, []).append(entry)
    return found


def module_folder(module: str) -> Path | None:
    """The folder of a package, or the one that a module lies in, found without importing it; None where it is not installed."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or [])
    if not places:
        return Path(spec.origin).parent if spec.origin and not inner else None
    for place in (Path(place, *inner) for place in places):
        if place.is_dir():
            return place
        if place.with_suffix(".py").is_file():
            return place.parent
    return None


def find(what: str, name: str, files: Iterable[Path], places: Iterable[Path], known: Callable[[], Iterable[str]]) -> Path:
    """The one of `files` that exists.

    Where none does, an InputError with the places and the nearest of the names that are `known`; where several do, one that names both.
    """
    here = [file for file in files if file.exists()]
    if not here:
        raise unknown(", ".join(f"{shown(place)}/" for place in places), what, name, known())
    for other in here[1:]:
        if not other.samefile(here[0]):
            raise InputError(f"{shown(other)}: the {what} {name!r} exists already, in {shown(here[0])}; rename one of them")
    return here[0]


def readable(names: Iterable[str], read: Callable[[str], Found]) -> dict[str, Found]:
    """{name: what `read` gives}. What is broken costs only itself: it is left out, with a warning."""
    found = {}
    for name in names:
        try:
            found[name] = read(name)
        except InputError as error:
            warn(f"{error}; it is left out")
    return found
