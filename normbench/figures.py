"""Every figure of a tier:  python -m normbench.figures --root build/quick

Writes figures/<paper>/<name>.svg and .png, and figures/figures.json, which says what each shows. Equal results give
equal bytes.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from normbench.collector import leave_imports_alone
from normbench.errors import InputError
from normbench.files import write_json
from normbench.measured import Measured
from normbench.papers import Paper, read_paper
from normbench.prediction import read_prediction
from normbench.showing.ledger_figure import ledger_figure
from normbench.showing.multiples_figure import multiples_figures
from normbench.showing.pictures_figure import pictures_figure
from normbench.showing.prediction_figure import prediction_figure
from normbench.showing.scatter_figure import scatter_figure
from normbench.showing.series_figure import claim_figures
from normbench.showing.style import Drawn, save
from normbench.showing.sweep_figure import sweep_figure
from normbench.showing.table_figure import table_figure
from normbench.showing.training_figure import training_figure
from normbench.summary import read_claims
from normbench.tables import shaped_table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
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
    entries = []
    for key in measured.plan["papers"]:
        for drawn in paper_figures(read_paper(key), [row for row in claims if row["paper"] == key], measured, folder.parent / "pictures"):
            save(drawn, folder / key)
            entries.append({"paper": key, "name": drawn.name, "kind": drawn.kind, "of": drawn.of, "title": drawn.title, "says": drawn.says})
    drawn = None if prediction is None else prediction_figure(prediction, measured.tier)
    if drawn is not None:
        save(drawn, folder)
        entries.append({"paper": "", "name": drawn.name, "kind": drawn.kind, "of": drawn.of, "title": drawn.title, "says": drawn.says})
    write_json(folder / "figures.json", entries)


def paper_figures(paper: Paper, claims: list[dict[str, str]], measured: Measured, pictures: Path) -> Iterator[Drawn]:
    """The ledger, each table, its trainings and pictures, claims that read series, figures, other sweeps: where anything was measured."""
    yield ledger_figure(paper, claims, measured)
    for table in paper.tables:
        shaped = shaped_table(paper, table, measured)
        for draw in (table_figure(shaped, measured), training_figure(shaped, measured), pictures_figure(shaped, measured, pictures)):
            if draw is not None:
                yield draw
    for claim in paper.claims:
        yield from claim_figures(paper, claim, measured)
    for figure in paper.figures:
        if not figure.panels:
            yield from multiples_figures(paper, figure, measured)
        elif (drawn := scatter_figure(paper, figure, measured)) is not None:
            yield drawn
    shown = {arm for figure in paper.figures for arm in figure.arms}
    for arm in paper.arms:
        drawn = None if arm in shown else sweep_figure(paper, arm, measured)
        if drawn is not None:
            yield drawn


if __name__ == "__main__":
    sys.exit(main())
