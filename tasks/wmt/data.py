"""The corpora of the wmt task behind one face: make or check, hash, and say where fairseq finds them.

numbers, numbers_large                                   embedded: made in seconds (spelled.py)
wmt14_en_de, wmt16_en_de, wmt17_en_de, iwslt14_de_en     the user's: raw text (text.py), which binarize.py prepares in build/data,
                                                         or what fairseq-preprocess made of it (binarized.py)
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from normbench.core.errors import InputError, unknown
from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.execution.manifest import read_manifest
from tasks.wmt import binarized, embedded, text
from tasks.wmt.binarize import SUBWORDS, binarize

CACHE = ROOT / "build" / "data"


@dataclass(frozen=True)
class Pair:
    """Source and target language, and how many shared subwords are learned where the corpus is raw text."""

    source: str
    target: str
    vocabulary: int

    @property
    def languages(self) -> tuple[str, str]:
        return self.source, self.target


# Subwords as in fairseq's examples/translation/prepare-wmt14en2de.sh (40000), prepare-iwslt14.sh (10000), scaling_nmt/README.md (32768).
PAIRS = {
    "numbers": Pair("en", "de", 400),
    "numbers_large": Pair("en", "de", 400),
    "wmt14_en_de": Pair("en", "de", 40000),
    "wmt16_en_de": Pair("en", "de", 32768),
    "wmt17_en_de": Pair("en", "de", 40000),
    "iwslt14_de_en": Pair("de", "en", 10000),
}
EMBEDDED = tuple(embedded.DATASETS)


@dataclass(frozen=True)
class Corpus:
    """What is trained on. folder: fairseq's, binarized; reference: the test's target text as people write it; pieces: the model of
    sentencepiece that made the subwords, None where subword-nmt did (@@) on text that Moses had tokenized."""

    folder: Path
    source: str
    target: str
    reference: Path
    pieces: Path | None
    sha256: str


def prepare(dataset: str, root: Path) -> str:
    """Make an embedded corpus or check the user's; returns its hash. One sentence where it is missing or broken."""
    return corpus(dataset, root, verify=True).sha256


def corpus(dataset: str, root: Path, verify: bool = False) -> Corpus:
    """The corpus in root/<dataset>. verify: read all of it; else what was hashed before counts as long as no file has changed."""
    if dataset not in PAIRS:
        raise unknown("data", "dataset of the wmt task", dataset, PAIRS)
    pair, folder = PAIRS[dataset], root / dataset
    if dataset in EMBEDDED:
        says = embedded.make(dataset, folder, pair.languages, pair.vocabulary) if verify else read_manifest(dataset, folder)
        out = folder / embedded.BINARIZED
        return Corpus(out, *pair.languages, out / f"reference.{pair.target}", out / SUBWORDS, says["data_sha256"])
    if not folder.is_dir() or not any(folder.iterdir()):
        raise InputError(
            f"data: {folder} is {'empty' if folder.is_dir() else 'missing'}; {text.expected(pair.languages)}, or the folder that "
            f"fairseq-preprocess made of such text; --config data=FOLDER names another place, FOLDER/{dataset}"
        )
    if found := binarized.find(folder, pair.languages):
        sha256 = _remembered(dataset, found, lambda: binarized.check(dataset, found, pair.languages), verify)
        return Corpus(found, *pair.languages, found / f"reference.{pair.target}", binarized.pieces(found), sha256)
    sha256 = _remembered(dataset, folder, lambda: _check_text(dataset, folder, pair), verify)
    out = CACHE / f"{dataset}-{sha256[:16]}"
    if not out.is_dir():
        binarize(folder, out, pair.languages, pair.vocabulary)
    return Corpus(out, *pair.languages, out / f"reference.{pair.target}", out / SUBWORDS, sha256)


def _check_text(dataset: str, folder: Path, pair: Pair) -> str:
    pairs, sha256 = text.check(folder, pair.languages)
    binarized.check_origin(dataset, folder, pairs["train"])
    return sha256


def _remembered(dataset: str, folder: Path, check: Callable[[], str], verify: bool) -> str:
    """The hash that `check` returns, kept in build/data until a file of the folder changes."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    state = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    kept = CACHE / f"{dataset}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.json"
    try:
        content = json.loads(kept.read_bytes())
        if content["state"] == state and not verify:
            return content["data_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never hashed, or not by us: it is written anew
    sha256 = check()
    write_json(kept, {"folder": str(folder), "state": state, "data_sha256": sha256})
    return sha256
