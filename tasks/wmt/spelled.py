"""The embedded parallel corpus: numbers, ordinals, prices, years and dates spelled out in English and German, in a few sentences.

    <folder>/{train,valid,test}.{en,de}    UTF-8, one sentence a line

Every sentence is about one number from 1 to 9999, and every number belongs to one split. Spelled with num2words (LGPL, a library
that is called and not copied); the sentences are this project's, CC BY 4.0. No torch here.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np
from num2words import num2words

from normbench.core.files import whole_file

LARGEST = 9999
SPLITS = ("train", "valid", "test")
HELD_OUT = {"valid": 500, "test": 500}  # numbers of a split; train has the others
PAIRS = {
    "numbers": {"train": 6000, "valid": 200, "test": 200},
    "numbers_large": {"train": 20400, "valid": 500, "test": 500},
}
SEED = 20200612  # of splits and sentences: part of the datasets, not a run's choice
MONTHS = {
    "January": "Januar",
    "February": "Februar",
    "March": "März",
    "April": "April",
    "May": "Mai",
    "June": "Juni",
    "July": "Juli",
    "August": "August",
    "September": "September",
    "October": "Oktober",
    "November": "November",
    "December": "Dezember",
}
YEARS = range(1000, 3000)


def write(dataset: str, folder: Path) -> dict[str, int]:
    """The six files of a dataset; returns the number of pairs of each split."""
    for split, pairs in sentences(dataset).items():
        for side, language in enumerate(("en", "de")):
            with whole_file(folder / f"{split}.{language}", "w") as file:
                file.writelines(f"{pair[side]}\n" for pair in pairs)
    return PAIRS[dataset]


def sentences(dataset: str) -> dict[str, list[tuple[str, str]]]:
    """Split -> pairs (English, German), all different, the frames in equal shares; the same ones always."""
    rng = np.random.default_rng(SEED)
    numbers = split_numbers(rng)
    return {split: list(_pairs(numbers[split], PAIRS[dataset][split], rng)) for split in SPLITS}


def split_numbers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Split -> its numbers."""
    shuffled = rng.permutation(np.arange(1, LARGEST + 1))
    valid, test = HELD_OUT["valid"], HELD_OUT["test"]
    return {"valid": shuffled[:valid], "test": shuffled[valid : valid + test], "train": shuffled[valid + test :]}


def _pairs(numbers: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """The frames take turns, each with numbers of its own order; where one has no number left, the others go on."""
    queues = [rng.permutation([n for n in numbers.tolist() if _fits(frame, n)]).tolist() for frame in FRAMES]
    turns = [(frame, n) for row in zip_longest(*queues) for frame, n in zip(FRAMES, row, strict=True) if n is not None]
    for i in rng.permutation(count):
        frame, n = turns[i]
        yield frame(n)


def _fits(frame: Callable, n: int) -> bool:
    return n in YEARS if frame in (_year, _date) else n > 1


@cache
def _cardinal(n: int, language: str) -> str:
    return num2words(n, lang=language)


def _books(n: int) -> tuple[str, str]:
    return f"The library has {_cardinal(n, 'en')} books.", f"Die Bibliothek hat {_cardinal(n, 'de')} Bücher."


def _birds(n: int) -> tuple[str, str]:
    return f"They counted {_cardinal(n, 'en')} birds at the lake.", f"Sie zählten am See {_cardinal(n, 'de')} Vögel."


def _runner(n: int) -> tuple[str, str]:
    english, german = (num2words(n, lang=language, to="ordinal") for language in ("en", "de"))
    return f"She was the {english} runner at the finish.", f"Sie kam als {german} Läuferin ins Ziel."


def _price(n: int) -> tuple[str, str]:
    """n cents."""
    english, german = (num2words(n / 100, lang=language, to="currency", currency="EUR") for language in ("en", "de"))
    return f"The ticket costs {english}.", f"Die Karte kostet {german}."


def _year(n: int) -> tuple[str, str]:
    english, german = (num2words(n, lang=language, to="year") for language in ("en", "de"))
    return f"The bridge was built in {english}.", f"Die Brücke wurde im Jahr {german} gebaut."


def _date(n: int) -> tuple[str, str]:
    """A day of the year n, which follows from n."""
    day, month = n * 7919 % 28 + 1, n * 104729 % 12
    english, german = list(MONTHS.items())[month]
    first, second = (num2words(day, lang=language, to="ordinal") for language in ("en", "de"))
    years = [num2words(n, lang=language, to="year") for language in ("en", "de")]
    return f"They arrived on the {first} of {english}, {years[0]}.", f"Sie kamen am {second}n {german} {years[1]} an."


FRAMES = (_books, _birds, _runner, _price, _year, _date)
