"""What fairseq-preprocess made of the user's text, and what can be wrong with it. fairseq is imported late: it takes seconds.

dict.<language>.txt, {train,valid,test}.<s>-<t>.<language>.{bin,idx}    as fairseq-preprocess writes them
reference.<target>     the test's target text as people write it, one sentence a line
sentencepiece.model    where the subwords are sentencepiece's; without, they are subword-nmt's
"""

import hashlib
import re
from pathlib import Path

import numpy as np

from normbench.core.errors import InputError
from tasks.wmt.text import SPLITS

SUBWORDS = "sentencepiece.model"
SAMPLE = 20_000  # sentences of the training set whose words are looked up
UNKNOWN = 0.01  # share of unknown words above which the vocabulary was made from other text: with subwords hardly any is unknown
# prepare-wmt14en2de.sh without --icml17 makes WMT17 (facebookresearch/fairseq#1618): 3,960,793 pairs (facebookresearch/fairseq#132).
WMT17_PAIRS = range(3_959_000, 3_963_000)


def find(folder: Path, languages: tuple[str, str]) -> Path | None:
    """The folder with fairseq's dictionaries: `folder` or data-bin in it; None where there is none."""
    for place in (folder, folder / "data-bin"):
        if any((place / f"dict.{language}.txt").is_file() for language in languages):
            return place
    return None


def pieces(folder: Path) -> Path | None:
    return folder / SUBWORDS if (folder / SUBWORDS).is_file() else None


def check(dataset: str, folder: Path, languages: tuple[str, str]) -> str:
    """The SHA-256 of all files that count; raises InputError on what is missing, does not fit together or is another corpus."""
    source, target = languages
    names = [f"dict.{language}.txt" for language in languages]
    names += [f"{split}.{source}-{target}.{language}.{kind}" for split in SPLITS for language in languages for kind in ("bin", "idx")]
    for name in (*names, f"reference.{target}"):
        if not (folder / name).is_file():
            raise InputError(f"data: {folder / name} is missing; {_missing(name, folder, languages)}")
    pairs = {split: _check_split(folder, split, languages) for split in SPLITS}
    check_origin(dataset, folder, pairs["train"])
    with open(folder / f"reference.{target}", encoding="utf-8") as file:
        lines = sum(1 for _ in file)
    if lines != pairs["test"]:
        raise InputError(f"data: {folder / f'reference.{target}'} has {lines:,} lines and the test set has {pairs['test']:,} sentences")
    rolled = hashlib.sha256()
    for name in sorted((*names, f"reference.{target}")):
        with open(folder / name, "rb") as file:
            rolled.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return rolled.hexdigest()


def check_origin(dataset: str, folder: Path, pairs: int) -> None:
    """WMT17's training data under the name of WMT14 is a mistake that the numbers would not show."""
    if dataset != "wmt14_en_de":
        return
    log = folder / "preprocess.log"
    told = re.search(r"trainpref='([^']*wmt17[^']*)'", log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    if told or pairs in WMT17_PAIRS:
        why = f"{log} says that it was made from {told[1]}" if told else f"it has {pairs:,} training pairs"
        raise InputError(
            f"data: {folder} is WMT17 and not WMT14: {why}; prepare-wmt14en2de.sh makes WMT14 only with --icml17, "
            "and what it makes without belongs into wmt17_en_de"
        )


def _missing(name: str, folder: Path, languages: tuple[str, str]) -> str:
    if name.startswith("reference."):
        return "it holds the test's target text as people write it, one sentence a line, which BLEU is counted against"
    return f"fairseq-preprocess --source-lang {languages[0]} --target-lang {languages[1]} --destdir {folder} writes it with the others"


def _check_split(folder: Path, split: str, languages: tuple[str, str]) -> int:
    """Its pairs, after both sides were looked at."""
    from fairseq.data import Dictionary, data_utils

    lengths = {}
    for language in languages:
        words = Dictionary.load(str(folder / f"dict.{language}.txt"))
        path = folder / f"{split}.{languages[0]}-{languages[1]}.{language}"
        dataset = data_utils.load_indexed_dataset(str(path), words)
        lengths[language] = len(dataset)
        chosen = np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset)), dtype=int)
        tokens = np.concatenate([dataset[int(i)].numpy() for i in chosen])
        unknown = float(np.mean(tokens == words.unk()))
        why = f"{path}.bin has word {tokens.max()} of {len(words)}" if tokens.max() >= len(words) else ""
        why = why or (f"{unknown:.1%} of {path}.bin is unknown to it" if unknown > UNKNOWN else "")
        if why:
            vocabulary = folder / f"dict.{language}.txt"
            raise InputError(f"data: {vocabulary} is a vocabulary made from other data: {why}; run fairseq-preprocess again")
    (first, n), (second, m) = lengths.items()
    if n != m:
        raise InputError(f"data: {folder}: {split} has {n:,} sentences of {first} and {m:,} of {second}; run fairseq-preprocess again")
    return n
