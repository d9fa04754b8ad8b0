"""Published numbers: papers/reported.csv and, of papers elsewhere, <key>.reported.csv beside their YAML."""

import csv
from functools import cache
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.schema import ROOT, shown

REPORTED = ROOT / "papers" / "reported.csv"
COORDINATES = ("paper", "table", "setting", "method", "metric")
VALUES = ("value", "unit", "std", "kind", "precision", "source", "note")

Numbers = dict[tuple[str, str, str, str, str], dict[str, str]]  # (paper, table, setting, method, metric) -> row


def read_numbers(paper: Path) -> Numbers:
    """The published numbers that a paper's YAML can point to: papers/reported.csv, or a copy beside the YAML, and its own beside it."""
    general, *own = numbers_of(paper)
    found = dict(_numbers(general))
    for path in own:
        found |= _numbers(path, paper.stem, general)
    return found


def numbers_of(paper: Path) -> list[Path]:
    """The files of published numbers of a paper's YAML, that of all papers first."""
    copy = paper.with_name(REPORTED.name)
    return [copy if copy.is_file() else REPORTED, *([beside(paper)] if beside(paper).is_file() else [])]


def beside(paper: Path) -> Path:
    """The file of published numbers beside a paper's YAML."""
    return paper.with_name(f"{paper.stem}.reported.csv")


@cache
def _numbers(path: Path, paper: str = "", general: Path | None = None) -> Numbers:
    """The rows of a file of published numbers. paper: whose all of them must be; general: another file, none of whose they may be."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        for column in COORDINATES + VALUES:
            if column not in (rows.fieldnames or ()):
                raise InputError(f"{shown(path)}: the column {column!r} is missing (those of papers/reported.csv are needed)")
        numbers = {}
        for row in rows:
            where = f"{shown(path)}: line {rows.line_num}"
            if paper and row["paper"] != paper:
                raise InputError(f"{where}: paper is {row['paper']!r}; a file beside a paper's YAML holds its own numbers, of {paper!r}")
            key = tuple(row[column] for column in COORDINATES)
            if key in numbers or (general and key in _numbers(general)):
                raise InputError(f"{where}: {' / '.join(key)} is given twice")
            numbers[key] = row
    return numbers
