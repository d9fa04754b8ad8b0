"""Two sets of results: what they have otherwise is listed and counted, what only seeds explain is not."""

import csv
import shutil
import sys
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from published_samples import edit

from normbench.dataset import compare
from normbench.dataset.columns import CELLS, CLAIMS
from normbench.execution.columns import RUNS, names
from normbench.execution.tables import empty_table

CELL = {"row": "Batch norm", "column": "Top 1", "metric": "test_top1", "measured": "90", "low": "88", "high": "92"}
CELL |= {"n": "3", "status": "measured"}
RUN = {"run": "a-s0", "task": "imagenet", "dataset": "digits", "method": "batch_norm", "arm": "a", "seed": 0, "tier": "quick"}
RUN |= {
    "metric": "test_top1",
    "value": 90.0,
    "method_sha256": "a" * 64,
    "data_sha256": "b" * 64,
    "torch": "2.14.1",
    "engine": "torch 2.14.1",
    "seconds": 1.0,
}


def write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def both(tmp_path) -> tuple[Path, Path]:
    """Two equal sets of one claim, two cells and one run."""
    a = tmp_path / "a" / "quick"
    write(a / "claims.csv", names(CLAIMS), [{"paper": "skipinit", "claim": "depth", "verdict": "supported"}])
    write(a / "tables" / "skipinit" / "depth.csv", names(CELLS), [CELL, {**CELL, "row": "None", "measured": "", "status": "diverged"}])
    empty = empty_table(RUNS)
    pl.concat([empty, pl.DataFrame([RUN])], how="diagonal_relaxed").write_parquet(a / RUNS.path)
    shutil.copytree(a, tmp_path / "b" / "quick")
    return a, tmp_path / "b" / "quick"


def run(a: Path, b: Path, capsys) -> tuple[int, str, str]:
    with mock.patch.object(sys, "argv", ["compare", "--old", str(a), "--new", str(b)]):
        code = compare.main()
    return code, *capsys.readouterr()


def test_equal_results_are_the_same_whatever_the_clock_says(both, capsys):
    a, b = both
    edit(b, RUNS, lambda runs: runs.with_columns(seconds=pl.lit(7.0), git_commit=pl.lit("c" * 40)))
    code, out, _ = run(a, b, capsys)
    assert code == 0 and "the same verdicts, cells and hashes" in out


def test_every_difference_is_in_the_table_and_in_the_exit_code(both, capsys):
    a, b = both
    write(b / "claims.csv", names(CLAIMS), [{"paper": "skipinit", "claim": "depth", "verdict": "contradicted"}])
    moved = [{**CELL, "measured": "80", "low": "79", "high": "81"}, {**CELL, "row": "None"}]
    write(b / "tables" / "skipinit" / "depth.csv", names(CELLS), moved)
    edit(b, RUNS, lambda runs: runs.with_columns(torch=pl.lit("2.15.0"), method_sha256=pl.lit("f" * 64)))
    code, out, _ = run(a, b, capsys)
    assert code == 1 and "1 verdicts, 2 cells, 2 hashes differ" in out
    found = [(d.kind, d.place, d.a, d.b) for d in compare.differences(a, b)]
    assert found == [
        ("verdicts", "skipinit depth", "supported", "contradicted"),
        ("cells", "skipinit/depth: Batch norm / Top 1", "90 [88, 92] n 3", "80 [79, 81] n 3"),
        ("cells", "skipinit/depth: None / Top 1", "diverged", "90 [88, 92] n 3"),
        ("hashes", "batch_norm method_sha256", "aaaaaaaaaaaaaaaa", "ffffffffffffffff"),
        ("hashes", "torch", "2.14.1", "2.15.0"),
    ]
    assert "skipinit/depth: Batch norm / Top 1" in out and "supported" in out


@pytest.mark.parametrize(
    "other, apart",
    [
        ({"measured": "91.5"}, False),  # inside the interval
        ({"measured": "93", "low": "89", "high": "97"}, False),  # outside it, but with one so wide that the first lies in it
        ({"measured": "93", "low": "92.5", "high": "93.5"}, True),
        ({"measured": "93", "low": "", "high": ""}, True),  # of one seed
        ({"status": "1 of 3 diverged", "n": "2"}, True),
        ({"measured": "", "status": "diverged"}, True),
    ],
)
def test_a_cell_moved_where_seeds_do_not_explain_it(other, apart):
    assert compare.moved(CELL, {**CELL, **other}) is apart and compare.moved({**CELL, **other}, CELL) is apart


def test_what_cannot_be_compared_is_said(both, capsys):
    a, b = both
    (b / "claims.csv").unlink()
    code, _, err = run(a, b, capsys)
    assert code == 2 and err.startswith(f"error: {b / 'claims.csv'}: is missing or broken") and "`snakemake publish` writes it" in err
    write(b / "claims.csv", ["paper", "claim"], [])
    code, _, err = run(a, b, capsys)
    assert code == 2 and f"{b / 'claims.csv'}: is of another version: it lacks the column 'kind'" in err
