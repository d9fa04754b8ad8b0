"""The embedded corpora as files, made once and compared with their manifest ever after.

<folder>/manifest.json
<folder>/text/{train,valid,test}.{en,de}     spelled.py
<folder>/binarized/                          binarize.py
"""

from pathlib import Path
from typing import Any

from normbench.execution import manifest
from tasks.wmt import spelled, text
from tasks.wmt.binarize import binarize

DATASETS = spelled.PAIRS
BINARIZED = "binarized"
SOURCE = "NormBench's own sentences; numbers, ordinals, prices, years and dates spelled by num2words"


def make(dataset: str, folder: Path, languages: tuple[str, str], vocabulary: int) -> dict[str, Any]:
    """Make `dataset` in `folder` unless it is there, whole or not at all, and return its manifest.

    Raises InputError where `folder` holds something else or a damaged copy.
    """
    return manifest.make(dataset, folder, lambda unfinished: _write(dataset, unfinished, languages, vocabulary))


def _write(dataset: str, folder: Path, languages: tuple[str, str], vocabulary: int) -> dict[str, Any]:
    """All files; returns what the manifest says. data_sha256 is of the text: all else follows from it with the locked packages."""
    spelled.write(dataset, folder / "text")
    pairs, sha256 = text.check(folder / "text", languages)
    binarize(folder / "text", folder / BINARIZED, languages, vocabulary)
    return {"data_sha256": sha256, "license": "CC BY 4.0", "source": SOURCE, "pairs": pairs}
