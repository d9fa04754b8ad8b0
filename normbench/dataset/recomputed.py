"""What the published runs come to, computed again, beside what was published: every difference by its place. Torch-free."""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from normbench.core.errors import InputError
from normbench.dataset.columns import CELLS, CLAIMS, PREDICTION, described
from normbench.dataset.derived import make
from normbench.dataset.sentences import SHOWN
from normbench.execution.columns import Described, names
from normbench.execution.tables import PARQUET
from normbench.planning.plan import Plan

COMPARED = (CLAIMS, PREDICTION, CELLS)


def differences(root: Path) -> list[str]:
    """A sentence for each verdict, cell and text that the published runs do not give. Those that are wrong are not all shown."""
    with tempfile.TemporaryDirectory() as folder:
        anew = Path(folder) / root.name
        try:
            Plan.read(root).write(anew)
            for file in PARQUET:
                (anew / file.path).symlink_to((root / file.path).resolve())
            make(anew, "claims", "tables", "prediction")
        except InputError as error:
            return [f"{root}: verdicts and tables cannot be recomputed: {error}"]
        return [sentence for path in _paths(root, anew) for sentence in _compare(root, anew, path)]


def _paths(root: Path, anew: Path) -> list[str]:
    """Every file that is computed, on either side."""
    found = {"claims.csv", "prediction.csv"}
    for folder in (root, anew):
        found |= {path.relative_to(folder).as_posix() for path in (folder / "tables").rglob("*") if path.is_file()}
    return sorted(found)


def _compare(root: Path, anew: Path, path: str) -> list[str]:
    there, made = root / path, anew / path
    if not there.is_file():
        return [f"{there}: is missing; the runs and papers/ give it"]
    if not made.is_file():
        return [f"{there}: comes of nothing: no paper in plan.json has it"]
    if there.read_bytes() == made.read_bytes():
        return []
    file = described(path)
    found = list(_cells(there, made, file) if file in COMPARED else _lines(there, made))
    return [*found[:SHOWN], *([f"{there}: and {len(found) - SHOWN} differences more"] if len(found) > SHOWN else [])]


def _cells(there: Path, made: Path, file: Described) -> Iterator[str]:
    """Differences of two CSV files, by row and column."""
    key = file.key or tuple(names(file)[:1])
    ours, theirs = _rows(there, key), _rows(made, key)
    for row in theirs.keys() - ours.keys():
        yield f"{there}: {' / '.join(row)}: is missing"
    for row, cells in ours.items():
        if row not in theirs:
            yield f"{there}: {' / '.join(row)}: comes of nothing: no such row is recomputed"
            continue
        for column in dict.fromkeys([*cells, *theirs[row]]):
            said, found = cells.get(column), theirs[row].get(column)
            if said != found:
                yield f"{there}: {' / '.join(row)}: {column} is {said!r}, and the runs give {found!r}"
    if ours == theirs:
        yield f"{there}: has the right values in another form (order of rows, quotes, ends of lines)"


def _rows(path: Path, key: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return {tuple(str(row.get(name)) for name in key): row for row in csv.DictReader(file)}


def _lines(there: Path, made: Path) -> Iterator[str]:
    """The first difference of two texts."""
    ours, theirs = (path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (there, made))
    for i, (said, found) in enumerate(zip(ours, theirs, strict=False), 1):
        if said != found:
            yield f"{there}, line {i}: is {_around(said, found)!r}, and the runs give {_around(found, said)!r}"
            return
    yield f"{there}: has {len(ours)} lines, and the runs give {len(theirs)}"


def _around(line: str, other: str, width: int = 60) -> str:
    """The part of a line where it begins to differ."""
    start = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    return line[max(0, start - width // 2) :][:width]
