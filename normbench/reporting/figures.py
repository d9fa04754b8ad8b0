"""Every figure of a tier:  python -m normbench.reporting.figures --root build/quick

Writes figures/<paper>/<name>.svg and .png, and figures/figures.json, which says what each shows. Equal results give
equal bytes.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from normbench.analysis.prediction import read_prediction
from normbench.analysis.results import Measured
from normbench.config.papers import Paper, Table
from normbench.core.errors import InputError
from normbench.core.files import write_json
from normbench.core.gc_tuning import leave_imports_alone
from normbench.core.logs import without_debug_lines
from normbench.reporting.plots.ledger_figure import ledger_figure
from normbench.reporting.plots.multiples_figure import multiples_figures
from normbench.reporting.plots.pictures_figure import pictures_figure
from normbench.reporting.plots.prediction_figure import prediction_figure
from normbench.reporting.plots.scatter_figure import scatter_figure
from normbench.reporting.plots.series_figure import claim_figures
from normbench.reporting.plots.style import Drawn, save
from normbench.reporting.plots.sweep_figure import sweep_figure
from normbench.reporting.plots.table_figure import table_figure
from normbench.reporting.plots.training_figure import training_figure
from normbench.reporting.summary import read_claims
from normbench.reporting.tables import shaped_table

PROCESSES = 4  # at most: beside them MLflow's records are imported
Draw = Callable[[], Iterable[Drawn]]
_todo: list[tuple[Path, str, Draw]] = []  # for the forks to find


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    without_debug_lines()
    leave_imports_alone()
    try:
        measured, claims = Measured.read(args.root), read_claims(args.root / "claims.csv")
        write_figures(measured, claims, args.root / "figures", read_prediction(args.root / "prediction.csv"))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_figures(measured: Measured, claims: list[dict[str, str]], folder: Path, prediction: pd.DataFrame | None = None) -> None:
    """All figures of all papers, and that of prediction.csv, which is of no paper; what another run left in the folder goes."""
    shutil.rmtree(folder, ignore_errors=True)
    measured.look_through()
    todo = [
        (folder / key, key, draw)
        for key, paper in measured.plan.papers.items()
        for draw in paper_figures(paper, [row for row in claims if row["paper"] == key], measured, folder.parent / "pictures")
    ]
    if prediction is not None:
        todo.append((folder, "", lambda: _if_any(prediction_figure(prediction, measured.tier))))
    write_json(folder / "figures.json", [entry for entries in _in_processes(todo) for entry in entries])


def paper_figures(paper: Paper, claims: list[dict[str, str]], measured: Measured, pictures: Path) -> Iterator[Draw]:
    """The ledger, each table, its trainings and pictures, claims that read series, figures, other sweeps: where anything was measured."""
    yield lambda: [ledger_figure(paper, claims, measured)]
    for table in paper.tables:
        yield partial(_table_figures, paper, table, measured, pictures)
    for claim in paper.claims:
        yield partial(claim_figures, paper, claim, measured)
    for figure in paper.figures:
        if not figure.panels:
            yield partial(multiples_figures, paper, figure, measured)
        else:
            yield lambda figure=figure: _if_any(scatter_figure(paper, figure, measured))
    shown = {arm for figure in paper.figures for arm in figure.arms}
    for arm in paper.arms:
        if arm not in shown:
            yield lambda arm=arm: _if_any(sweep_figure(paper, arm, measured))


def _table_figures(paper: Paper, table: Table, measured: Measured, pictures: Path) -> Iterator[Drawn]:
    shaped = shaped_table(paper, table, measured)
    for drawn in (table_figure(shaped, measured), training_figure(shaped, measured), pictures_figure(shaped, measured, pictures)):
        yield from _if_any(drawn)


def _if_any(drawn: Drawn | None) -> list[Drawn]:
    return [] if drawn is None else [drawn]


def _in_processes(todo: list[tuple[Path, str, Draw]]) -> list[list[dict[str, str]]]:
    """Draw and save each; what figures.json says of them. The processes are forks, for what was measured is large and only read."""
    global _todo
    _todo = todo
    with ProcessPoolExecutor(min(PROCESSES, len(os.sched_getaffinity(0))), get_context("fork")) as pool:
        return list(pool.map(_draw, range(len(todo))))


def _draw(i: int) -> list[dict[str, str]]:
    folder, paper, draw = _todo[i]
    entries = []
    for drawn in draw():
        save(drawn, folder)
        entries.append({"paper": paper, "name": drawn.name, "kind": drawn.kind, "of": drawn.of, "title": drawn.title, "says": drawn.says})
    return entries


if __name__ == "__main__":
    sys.exit(main())
