"""Published numbers: papers/reported.csv and, of papers elsewhere, <key>.reported.csv beside their YAML."""

import csv
from functools import cache
from pathlib import Path

from normbench.config.search_paths import folders
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, shown

REPORTED = ROOT / "papers" / "reported.csv"
COORDINATES = ("paper", "table", "setting", "method", "metric")
VALUES = ("value", "unit", "std", "kind", "precision", "source", "note")

Coordinates = tuple[str, str, str, str, str]


def reported_numbers(paper: str = "") -> dict[Coordinates, dict[str, str]]:
    """The published numbers by (paper, table, setting, method, metric): papers/reported.csv, with those beside the YAML of `paper`."""
    files = [path for place in folders("papers") if (path := beside(place / f"{paper}.yaml")).is_file()]
    return {**_numbers(REPORTED), **_numbers(files[0], paper)} if files else _numbers(REPORTED)


def beside(paper: Path) -> Path:
    """The file of published numbers beside a paper's YAML."""
    return paper.with_name(f"{paper.stem}.reported.csv")


@cache
def _numbers(path: Path, paper: str = "") -> dict[Coordinates, dict[str, str]]:
    """The rows of a file of published numbers; paper: whose all of them must be."""
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
            if key in numbers or (paper and key in _numbers(REPORTED)):
                raise InputError(f"{where}: {' / '.join(key)} is given twice")
            numbers[key] = row
    return numbers


def reported_number(paper: str, where: dict[str, str], place: str) -> dict[str, str] | None:
    """The published number at the coordinates `where`, None where they are incomplete; a wrong coordinate is an InputError."""
    parts = ("table", "setting", "method", "metric")
    if not all(where.get(p) for p in parts):
        return None
    source = where.get("paper", paper)
    key = (source, *(where[p] for p in parts))
    numbers = reported_numbers(source)
    if key not in numbers:
        raise unknown(
            f"{place}: reported", "number of papers/reported.csv", " / ".join(key), [" / ".join(k) for k in numbers if k[0] == source]
        )
    return numbers[key]
