"""The example of a task, copied out of the repository with its paper, goes through the whole workflow without an edit of ours."""

import csv
import json
import os
import shutil
import subprocess
import sys

import polars as pl
import pytest

from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

TEMPLATE = ROOT / "docs" / "template_task"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """build/tiny of `snakemake all`."""
    place = tmp_path_factory.mktemp("outside")
    shutil.copytree(TEMPLATE, place / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    words = [f"{kind}_path={place / 'mine' / kind}" for kind in ("tasks", "papers")]
    words += ["tier=tiny", "papers=stripes_example", f"build={place / 'build'}"]
    command = [sys.executable, "-m", "snakemake", "all", "--cores", "1", "--config", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NORMBENCH_TASKS_PATH": "", "NORMBENCH_PAPERS_PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "build" / "tiny"


def test_its_runs_stand_in_the_dataset(made):
    runs = pl.read_parquet(made / "runs.parquet")
    plan = json.loads((made / "plan.json").read_text(encoding="utf-8"))
    assert len(plan["arms"]) == 2 and set(runs["task"]) == {"stripes"} and set(runs["status"]) == {"finished"}
    assert set(runs["run"]) == {f"{arm}-s{seed}" for arm, entry in plan["arms"].items() for seed in entry["seeds"]}
    assert {entry["spec"]["recipe"]["steps"] for entry in plan["arms"].values()} == {4}  # what its task.yaml says of the tier


def test_its_claim_is_judged(made):
    with open(made / "claims.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["paper"], row["claim"], row["task"]) == ("stripes_example", "bn-better", "stripes")
    assert row["verdict"] in ("supported", "contradicted", "inconclusive") and row["n"] == "2"


def test_its_table_has_the_published_number_beside_the_measured_one(made):
    table = (made / "tables" / "stripes_example" / "accuracy.md").read_text(encoding="utf-8")
    assert "Batch norm | 90.0" in table and "(n 2)" in table


def test_the_report_names_it(made):
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "Stripes with and without batch normalization" in page and "Test accuracy on stripes" in page
