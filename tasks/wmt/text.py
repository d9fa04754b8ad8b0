"""Parallel text as files: {train,valid,test}.<language>, UTF-8, one sentence a line; and what can be wrong with it. No torch here.

Checked before anything trains, each mistake in one sentence with the file and the line.
"""

import hashlib
from pathlib import Path

from normbench.core.errors import InputError

SPLITS = ("train", "valid", "test")


def expected(languages: tuple[str, str]) -> str:
    return f"it takes {', '.join(f'{split}.{languages[0]} and {split}.{languages[1]}' for split in SPLITS)}, one sentence a line"


def check(folder: Path, languages: tuple[str, str]) -> tuple[dict[str, int], str]:
    """(pairs of each split, SHA-256 of all six files); raises InputError on a missing side, unequal lengths, an empty line, no UTF-8."""
    pairs, rolled = {}, hashlib.sha256()
    for split in SPLITS:
        lines = {}
        for language in languages:
            path = folder / f"{split}.{language}"
            if not path.is_file():
                raise InputError(f"data: {path} is missing: one side of the corpus; {expected(languages)}")
            lines[language], digest = _read(path)
            rolled.update(f"{path.name} {digest}\n".encode())
        first, second = languages
        if lines[first] != lines[second]:
            raise InputError(
                f"data: {folder / f'{split}.{first}'} has {lines[first]:,} lines and {split}.{second} has {lines[second]:,}; "
                "line n of one must be the translation of line n of the other"
            )
        pairs[split] = lines[first]
    return pairs, rolled.hexdigest()


def _read(path: Path) -> tuple[int, str]:
    """(lines, SHA-256) of a file that is in order."""
    digest, number = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            digest.update(line)
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"data: {path}, line {number}: byte {error.start + 1} is no UTF-8; "
                    f"convert the file, as with `iconv -f latin1 -t utf-8`, if that is what it is"
                ) from None
            if not text.strip():
                raise InputError(f"data: {path}, line {number} is empty; remove it, and the same line of the other language")
    if not number:
        raise InputError(f"data: {path} is empty")
    return number, digest.hexdigest()
