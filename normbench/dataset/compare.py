"""What do two sets of results have otherwise?  python -m normbench.dataset.compare --old results/laptop --new build/laptop

Prints the verdicts that differ, the tables' cells that moved beyond their interval, and which methods, data and versions have another
hash. Exit code 0: none; 1: some; 2: one of the two cannot be read. Times, and the commit of equal code, do not count.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from normbench.core.errors import InputError
from normbench.dataset.columns import CELLS, CLAIMS
from normbench.execution.columns import RUNS, Described, names
from normbench.execution.tables import read_table

NOISE = 1e-5  # relative: the digits of tables/*.csv


@dataclass(frozen=True)
class Difference:
    """kind: verdicts, cells, hashes. place: what differs; a, b: what each has of it, "–" for nothing."""

    kind: str
    place: str
    a: str
    b: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--new", type=Path, required=True)
    args = parser.parse_args()
    try:
        found = list(differences(args.old, args.new))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(found, str(args.old), str(args.new))
    return int(bool(found))


def differences(a: Path, b: Path) -> Iterator[Difference]:
    """Everything in which the tier's folder `b` differs from `a`, verdicts first."""
    yield from verdicts(a, b)
    yield from cells(a, b)
    yield from hashes(a, b)


def verdicts(a: Path, b: Path) -> Iterator[Difference]:
    """Claims whose verdict is another, or which one of the two has not."""
    ours, theirs = ({key: row["verdict"] for key, row in _rows(root / CLAIMS.path, CLAIMS).items()} for root in (a, b))
    for claim in dict.fromkeys([*ours, *theirs]):
        if ours.get(claim) != theirs.get(claim):
            yield Difference("verdicts", " ".join(claim), ours.get(claim, "–"), theirs.get(claim, "–"))


def cells(a: Path, b: Path) -> Iterator[Difference]:
    """Cells whose means lie outside of each other's interval; measured in one only; with other seeds lost."""
    paths = dict.fromkeys(path.relative_to(root).as_posix() for root in (a, b) for path in sorted(root.glob(CELLS.path)))
    for path in paths:
        ours, theirs = (_rows(root / path, CELLS) if (root / path).is_file() else {} for root in (a, b))
        place = path.removeprefix("tables/").removesuffix(".csv")
        for cell in dict.fromkeys([*ours, *theirs]):
            x, y = ours.get(cell), theirs.get(cell)
            if x is None or y is None or moved(x, y):
                yield Difference("cells", f"{place}: {' / '.join(cell)}", _shown(x), _shown(y))


def moved(x: dict[str, str], y: dict[str, str]) -> bool:
    """Whether two cells are apart by more than their seeds explain: neither mean lies in the other's interval."""
    if not x["measured"] or not y["measured"]:
        return (x["measured"], x["status"]) != (y["measured"], y["status"])
    return ("diverged" in (x["status"] + y["status"]) and x["status"] != y["status"]) or not (_within(y, x) or _within(x, y))


def hashes(a: Path, b: Path) -> Iterator[Difference]:
    """Methods, data and versions with another hash, or in one only."""
    ours, theirs = (read_table(root, RUNS).unique("run") for root in (a, b))
    for column, of in (("method_sha256", ["method"]), ("data_sha256", ["task", "dataset"]), ("torch", []), ("engine", ["task"])):
        x, y = (_values(frame, column, of) for frame in (ours, theirs))
        for key in sorted(x.keys() | y.keys()):
            if x.get(key) != y.get(key):
                yield Difference("hashes", " ".join([*key, column]), x.get(key, "–"), y.get(key, "–"))


def show(found: list[Difference], a: str, b: str) -> None:
    """One table for each kind, and a line of totals."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    for kind, group in groupby(found, key=lambda one: one.kind):
        table = Table(title=f"{kind} that differ", title_justify="left", box=None, header_style="bold")
        for head in (kind[:-1], a, b):
            table.add_column(head, overflow="fold")
        for one in group:
            table.add_row(one.place, one.a, one.b)
        console.print(table)
    totals = [f"{sum(one.kind == kind for one in found)} {kind}" for kind in ("verdicts", "cells", "hashes")]
    said = f"{', '.join(totals)} differ" if found else "the same verdicts, cells and hashes"
    console.print(f"{a} and {b}: {said}", soft_wrap=True)


def _values(runs: pl.DataFrame, column: str, of: list[str]) -> dict[tuple[str, ...], str]:
    """(method) or (task, dataset) ... -> the values of the column there."""
    found: dict[tuple[str, ...], set[str]] = {}
    for *key, value in runs.select(*of, column).unique().iter_rows():
        found.setdefault(tuple(key), set()).add(value[:16] if len(value) == 64 else value)
    return {key: ", ".join(sorted(values)) for key, values in found.items()}


def _within(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether one's mean lies in the other's interval; of a single seed, whether it is the other's mean."""
    value, mean = float(one["measured"]), float(other["measured"])
    low, high = (float(other[bound]) if other[bound] else mean for bound in ("low", "high"))
    room = NOISE * max(abs(value), abs(mean))
    return low - room <= value <= high + room


def _shown(cell: dict[str, str] | None) -> str:
    if cell is None:
        return "–"
    if not cell["measured"]:
        return cell["status"]
    interval = f" [{float(cell['low']):.4g}, {float(cell['high']):.4g}]" if cell["low"] else ""
    status = "" if cell["status"] == "measured" else f", {cell['status']}"
    return f"{float(cell['measured']):.4g}{interval} n {cell['n']}{status}"


def _rows(path: Path, file: Described) -> dict[tuple[str, ...], dict[str, str]]:
    """The rows of a CSV file by the columns that tell them apart."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` or `snakemake publish` writes it") from error
    if missing := [name for name in names(file) if name not in (reader.fieldnames or [])]:
        raise InputError(f"{path}: is of another version: it lacks the column {missing[0]!r}")
    return {tuple(row[name] for name in file.key): row for row in rows}


if __name__ == "__main__":
    sys.exit(main())
