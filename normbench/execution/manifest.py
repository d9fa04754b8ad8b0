"""Datasets that are made here: whole or not at all, with a manifest that every file is compared with ever after. Torch-free.

<folder>/manifest.json     dataset, data_sha256, what else the dataset says of itself, and files: path -> SHA-256
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from normbench.core.errors import InputError
from normbench.core.files import whole_folder, write_json

NAME = "manifest.json"


def make(dataset: str, folder: Path, write: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Make `dataset` in `folder` unless it is there, and return its manifest.

    write: puts all files into the folder it is given, which does not exist yet, and returns what the manifest says beside them, with
    "data_sha256", the hash of what a network sees. Raises InputError where `folder` holds something else or a damaged copy.
    """
    folder = Path(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        with whole_folder(folder, NAME) as unfinished:
            about = write(unfinished)
            files = {name: hashlib.sha256((unfinished / name).read_bytes()).hexdigest() for name in _present(unfinished)}
            write_json(unfinished / NAME, {"dataset": dataset, **about, "files": files})
    return verify(dataset, folder)


def read_manifest(dataset: str, folder: Path) -> dict[str, Any]:
    """<folder>/manifest.json, checked to be this dataset's; files in the order of their names."""
    path = Path(folder) / NAME
    try:
        manifest = json.loads(path.read_bytes())
        fits = manifest["dataset"] == dataset and manifest["data_sha256"] and manifest["files"]
    except OSError:
        raise InputError(f"data: {path} is missing, so {folder} is no copy of {dataset!r}; {_again(folder)}") from None
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise InputError(f"data: {path} is no manifest of {dataset!r}; {_again(folder)}")
    return manifest


def verify(dataset: str, folder: Path) -> dict[str, Any]:
    """The manifest, after every file was compared with it; an InputError names the first that differs or does not belong."""
    manifest = read_manifest(dataset, folder)
    for _ in read_files(manifest, folder):
        pass
    for name in _present(folder):
        if name not in manifest["files"]:
            raise InputError(f"data: {Path(folder) / name} does not belong to {dataset!r}: {NAME} does not list it; {_again(folder)}")
    return manifest


def read_files(manifest: dict[str, Any], folder: Path, below: str = "") -> Iterator[tuple[str, bytes]]:
    """(path within the folder, bytes) of every file whose path begins with `below`, in order, each compared with the manifest."""
    for name, expected in manifest["files"].items():
        if not name.startswith(below):
            continue
        path = Path(folder) / name
        try:
            content = path.read_bytes()
        except OSError:
            raise InputError(f"data: {path} is missing; {_again(folder)}") from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise InputError(f"data: {path} is damaged: its SHA-256 is not the one in {NAME}; {_again(folder)}")
        yield name, content


def _present(folder: Path) -> list[str]:
    """The files in a folder but the manifest, by name."""
    files = (path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())
    return sorted(name for name in files if name != NAME)


def _again(folder: Path) -> str:
    return f"delete {folder}, and the next `snakemake all` makes it again"
