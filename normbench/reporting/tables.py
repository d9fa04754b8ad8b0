"""The papers' tables, published beside measured:  python -m normbench.reporting.tables --root build/quick

tables/<paper>/<table>.csv has one row a cell (row, column, metric, published, published_kind,
published_source, measured, low, high, n, status, arm); .md and .tex are shaped like the paper's table.
"""

import argparse
import csv
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from normbench.analysis.results import Measured, metric_of
from normbench.claims.operands import NotEnded, NotRun
from normbench.claims.stats import mean_of
from normbench.config.papers import Paper, Row, Table, paper_file, reached, reported_number
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.planning.make import guest_arm_name
from normbench.planning.marks import write_mark
from normbench.reporting.summary import read_claims
from normbench.reporting.table_layout import Shaped
from normbench.reporting.writers import latex, markdown


@dataclass(frozen=True)
class Cell:
    """One cell. measured: mean over the seeds that finished, n of them; low, high: its 95% interval.

    status: measured; diverged (every seed); "k of n diverged" (the others are the mean); not run and why; published only (no arm of ours).
    The cell of a sweep is its best point, which the status names.
    """

    row: str
    column: str
    metric: str
    published: str = ""
    published_kind: str = ""
    published_source: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    status: str = "published only"
    arm: str = ""


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--done", type=Path, help="the mark that says what was made (normbench/planning/marks.py)")
    args = parser.parse_args()
    measured, claims = Measured.read(args.root), read_claims(args.root / "claims.csv")
    for key, paper in measured.plan.papers.items():
        for table in paper.tables:
            write_table(paper, table, measured, args.root / "tables" / key, verdicts_of(key, claims))
    write_mark(args.done, args.root, [path for path in (args.root / "tables").rglob("*") if path.is_file()])


def verdicts_of(paper: str, claims: list[dict[str, str]]) -> dict[str, str]:
    """claim -> verdict, of one paper's rows of claims.csv."""
    return {row["claim"]: row["verdict"] for row in claims if row["paper"] == paper}


def write_table(paper: Paper, table: Table, measured: Measured, folder: Path, verdicts: dict[str, str] | None = None) -> None:
    """The three files of one table. verdicts: of the paper's claims, which Markdown and LaTeX mark the cells with."""
    shaped = shaped_table(paper, table, measured, verdicts)
    with whole_file(folder / f"{table.id}.csv", "w") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Cell)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in asdict(c).items()} for c in shaped.cells.values())
    for suffix, text in (("md", markdown(shaped)), ("tex", latex(shaped))):
        with whole_file(folder / f"{table.id}.{suffix}", "w") as file:
            file.write(text)


def shaped_table(paper: Paper, table: Table, measured: Measured, verdicts: dict[str, str] | None = None) -> Shaped:
    """The table with its guests' rows and all of its cells."""
    rows = {**table.rows, **guest_rows(paper, table, measured)}
    cells = {(name, column): cell(paper, table, name, row, column, measured) for name, row in rows.items() for column in table.columns}
    _check_engines(f"{paper_file(paper.key)}: tables.{table.id}", [c.arm for c in cells.values() if c.arm], measured)
    return Shaped(paper, table, rows, cells, measured, verdicts or {})


def _check_engines(place: str, arms: list[str], measured: Measured) -> None:
    """Two frameworks are two experiments: no table has runs of one task that different ones trained."""
    engines: dict[str, dict[str, str]] = {}
    for arm in arms:
        for run in measured.status(arm):
            engines.setdefault(run.task, {}).setdefault(run.engine.split(" ")[0], run.run)  # without its version
    for task, found in engines.items():
        if len(found) > 1:
            (one, a), (other, b) = list(found.items())[:2]
            raise InputError(
                f"{place}: {a} was trained by {one} and {b} by {other}, and a table of {task} has one engine; train one of them anew"
            )


def guest_rows(paper: Paper, table: Table, measured: Measured) -> dict[str, Row]:
    """A row for each guest that stands in this table: the arms of the guest row with its method."""
    if table.guests is None:
        return {}
    arms = table.rows[table.guests].arms
    rows = {}
    for guest in measured.plan.guests:
        own = {column: name for column, arm in arms.items() if (paper.key, name := guest_arm_name(arm, guest)) in measured.plan.points}
        if own:
            rows[guest] = Row(title=guest, arms=own)
    return rows


def cell(paper: Paper, table: Table, name: str, row: Row, column: str, measured: Measured) -> Cell:
    """What was published at the cell's coordinates, and what was measured by its arm."""
    metric = table.columns[column].metric or table.metric
    place = f"{paper_file(paper.key)}: tables.{table.id}.rows.{name}"
    where = {**table.reported, **table.columns[column].reported, **row.reported}
    number = reported_number(paper, where, place) if row.reported else None
    published = {"published": number["value"], "published_kind": number["kind"], "published_source": number["source"]} if number else {}
    arm = row.arms.get(column)
    own = {} if arm is None else _measure(paper, table, arm, metric, measured)
    return Cell(row=row.title, column=table.columns[column].title, metric=metric, **published, **own)


def _measure(paper: Paper, table: Table, arm: str, metric: str, measured: Measured) -> dict:
    if not reached(table.start, measured.tier):
        return {"status": f"not run: needs tier {table.start}"}
    try:
        arm_id, chosen = measured.best_point(paper, arm, metric)
        runs = measured.status(arm_id)
    except NotEnded as reason:
        return {"status": f"not run: {reason.brief}"}
    except NotRun as reason:
        return {"status": f"not run: {reason}"}
    metric_of(runs[0].task, metric)
    values = measured.finished(arm_id, metric)
    lost = len(runs) - len(values)
    if not values:
        return {"status": "diverged", "arm": arm_id, "n": len(runs)}
    estimate = mean_of(values) if len(values) > 1 else None
    low, high = estimate.interval if estimate else (None, None)
    status = f"{lost} of {len(runs)} diverged" if lost else "measured"
    status += f" at {chosen}" if chosen else ""
    return {"measured": sum(values) / len(values), "low": low, "high": high, "n": len(values), "status": status, "arm": arm_id}


def _plain(value) -> str:
    """Numbers with the digits that mean something, so that equal runs give equal files."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
