"""The embedded corpora as files, made once and compared with their manifest ever after.

<folder>/manifest.json
<folder>/text/{train,valid,test}.{en,de}     spelled.py
<folder>/binarized/                          binarize.py
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from normbench.errors import InputError
from normbench.files import whole_folder, write_json
from tasks.wmt import spelled, text
from tasks.wmt.binarize import binarize

DATASETS = spelled.PAIRS
BINARIZED = "binarized"
SOURCE = "NormBench's own sentences; numbers, ordinals, prices, years and dates spelled by num2words"


def make(dataset: str, folder: Path, languages: tuple[str, str], vocabulary: int) -> dict[str, Any]:
    """Make `dataset` in `folder` unless it is there, whole or not at all, and return its manifest.

    Raises InputError where `folder` holds something else or a damaged copy.
    """
    if folder.is_dir() and any(folder.iterdir()):
        return verify(dataset, folder)
    with whole_folder(folder, "manifest.json") as unfinished:
        _write(dataset, unfinished, languages, vocabulary)
    return read_manifest(dataset, folder)


def read_manifest(dataset: str, folder: Path) -> dict[str, Any]:
    """<folder>/manifest.json, checked to be this dataset's."""
    path = folder / "manifest.json"
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
    """The manifest, after every file was compared with it; an InputError names the first that differs."""
    manifest = read_manifest(dataset, folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"data: {path} is missing; {_again(folder)}")
        if _sha256(path) != expected:
            raise InputError(f"data: {path} is damaged: its SHA-256 is not the one in manifest.json; {_again(folder)}")
    return manifest


def _write(dataset: str, folder: Path, languages: tuple[str, str], vocabulary: int) -> None:
    """data_sha256 is of the text, from which all else follows with the locked versions of sentencepiece and fairseq."""
    spelled.write(dataset, folder / "text")
    pairs, sha256 = text.check(folder / "text", languages)
    binarize(folder / "text", folder / BINARIZED, languages, vocabulary)
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = {"dataset": dataset, "data_sha256": sha256, "license": "CC BY 4.0", "source": SOURCE, "pairs": pairs, "files": files}
    write_json(folder / "manifest.json", manifest)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _again(folder: Path) -> str:
    return f"delete {folder}, and the next `snakemake all` makes it again"
