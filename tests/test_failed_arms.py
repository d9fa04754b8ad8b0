"""A line of which a method fails while it trains, beside a file that is no Python: it ends with everything else, and later with all."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from outside import METHOD, write_method

from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

FAULTY = METHOD.replace("return self.factor * x", 'raise RuntimeError("a planted fault")')


def snakemake(folder: Path, target: str = "all") -> subprocess.CompletedProcess:
    config = ["tier=tiny", "papers=norm_matters", "tasks=imagenet", "methods=batch_norm,halved", f"methods_path={folder / 'methods'}"]
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1", "--config", f"build={folder / 'build'}", *config]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def failed(tmp_path_factory) -> tuple[subprocess.CompletedProcess, Path]:
    folder = tmp_path_factory.mktemp("failed")
    write_method(folder / "methods", "halved", FAULTY)
    write_method(folder / "methods", "unreadable", "def norm(site p):\n")
    return snakemake(folder), folder


def unfinished(root: Path) -> list[dict[str, str]]:
    with open(root / "unfinished.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def methods(root: Path) -> set[str]:
    return set(pd.read_parquet(root / "runs.parquet").method)


def test_the_line_ends_with_exit_code_1_and_everything_that_exists(failed):
    done, folder = failed
    root = folder / "build" / "tiny"
    assert done.returncode == 1, done.stdout + done.stderr
    assert methods(root) == {"batch_norm"}
    for name in ("claims.csv", "prediction.csv", "report.html", "figures/figures.json", "tables/norm_matters/constant.md"):
        assert (root / name).is_file(), name
    assert (folder / "build" / "mlflow.db").is_file()
    assert "not complete" in (root / "report.html").read_text(encoding="utf-8")


def test_each_failure_is_a_row_with_a_log_that_says_more(failed):
    root = failed[1] / "build" / "tiny"
    rows = unfinished(root)
    assert {(row["method"], row["status"]) for row in rows} == {("halved", "failed")}
    for row in rows:
        assert "a planted fault" in row["because"]
        assert "Traceback" in (root / row["log"]).read_text(encoding="utf-8")


def test_a_file_that_is_no_python_costs_itself_only_and_is_named(failed):
    done, folder = failed
    assert str(folder / "methods" / "unreadable.py") in done.stderr and "line 1" in done.stderr


def test_once_the_method_is_mended_the_same_command_ends_with_all(failed):
    _, folder = failed
    write_method(folder / "methods", "halved")
    done = snakemake(folder, "claims")  # without figures and page, which take most of the time
    root = folder / "build" / "tiny"
    assert done.returncode == 0, done.stdout + done.stderr
    assert methods(root) == {"batch_norm", "halved"} and unfinished(root) == []
