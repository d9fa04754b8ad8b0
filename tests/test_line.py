"""The whole line, by the command that a user types: made, made again, damaged, killed, and misspelt."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from normbench.config.spec import run_id
from normbench.core.schema import ROOT
from normbench.planning.folders import Folders
from normbench.planning.pipeline import write_jobs

pytestmark = pytest.mark.slow

SNAKEMAKE = [sys.executable, "-m", "snakemake", "all", "--cores", "1"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
NUMBERS = ["run", "arm", "seed", "status", "metric", "value"]


def snakemake(build: Path, *config: str) -> subprocess.CompletedProcess:
    words = ["tier=tiny", "papers=norm_matters", "methods=batch_norm,l1_batch_norm", f"build={build}", *config]
    return subprocess.run([*SNAKEMAKE, "--config", *words], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def output(done: subprocess.CompletedProcess) -> str:
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """build/ of a first `snakemake all`."""
    build = tmp_path_factory.mktemp("line") / "build"
    done = snakemake(build)
    assert done.returncode == 0, output(done)
    return build


def numbers(build: Path) -> pd.DataFrame:
    """All values but the speeds, which are the machine's."""
    runs = pd.read_parquet(build / "tiny" / "runs.parquet", columns=[*NUMBERS, "unit"])
    return runs[runs.unit != "1/s"][NUMBERS].sort_values(NUMBERS[:-1], ignore_index=True)


def results(build: Path) -> dict[str, str]:
    """What a reader gets: the ledger and the tables, by path."""
    root = build / "tiny"
    paths = [root / "claims.csv", *sorted((root / "tables").rglob("*.*"))]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_line_ends_with_everything_that_it_promises(made):
    root, plan = made / "tiny", json.loads((made / "tiny" / "plan.json").read_text())
    for name in (
        "runs.parquet",
        "curves.parquet",
        "probes.parquet",
        "speed.csv",
        "claims.csv",
        "tables",
        "figures",
        "made/tables.json",
        "tracked",
        "report.html",
    ):
        assert (root / name).exists(), name
    assert (made / "mlflow.db").is_file()
    found = pd.read_parquet(root / "runs.parquet")
    assert set(found.run) == {f"{arm}-s{seed}" for arm, entry in plan["arms"].items() for seed in entry["seeds"]}
    assert set(found.method) == {"batch_norm", "l1_batch_norm"} and len(set(found.task)) > 1
    assert set(found.tier) == {"tiny"} and (found.status == "finished").any()
    assert not list(root.glob("checkpoints/*"))


def damage(root: Path) -> None:
    """One derived file edited, one cut, one removed."""
    (root / "claims.csv").write_text(
        (root / "claims.csv").read_text(encoding="utf-8").replace("inconclusive", "supported"), encoding="utf-8"
    )
    curves = (root / "curves.parquet").read_bytes()
    (root / "curves.parquet").write_bytes(curves[: len(curves) // 2])
    (root / "tables" / "norm_matters" / "constant.md").unlink()


def test_a_second_time_there_is_nothing_to_do_and_a_damaged_record_is_made_again(made, tmp_path):
    done = snakemake(made)
    assert done.returncode == 0 and "Nothing to be done" in output(done), output(done)
    before, shown = numbers(made), results(made)
    damage(made / "tiny")
    record = sorted((made / "tiny" / "records").glob("*.json"))[3]
    content = record.read_bytes()
    record.write_bytes(content[:-40])
    others = {p: p.stat().st_mtime_ns for p in record.parent.glob("*.json") if p != record}
    (made / "mlflow.db").unlink()
    done = snakemake(made)
    assert done.returncode == 0, output(done)
    pd.testing.assert_frame_equal(numbers(made), before)
    assert results(made) == shown
    for name in ("claims.csv", "curves.parquet", "tables/norm_matters/constant.md"):
        assert f"{made / 'tiny' / name}: is not as it was made" in output(done)
    assert {p: p.stat().st_mtime_ns for p in others} == others  # the complete ones were left alone
    made_again, first = json.loads(record.read_text()), json.loads(content + b"" if content.endswith(b"\n") else content)
    assert made_again["metrics"] == first["metrics"] and made_again["curves"] == first["curves"]
    assert (made / "mlflow.db").is_file()  # imported again, although its mark was there


def test_a_job_killed_in_the_middle_is_taken_up_again_and_ends_with_the_same_numbers(made, tmp_path):
    build = tmp_path / "build"
    root, data = build / "tiny", build / "data"
    shutil.copytree(made / "data", data)
    for part in ("arms", "records", "norms", "pictures", "index"):
        if (made / "tiny" / part).is_dir():
            shutil.copytree(made / "tiny" / part, root / part)
    lost = lose_some(Folders.of(root))
    write_jobs(Folders.of(root), {"lost": lost})
    there = set(root.glob("records/*.json"))
    command = [sys.executable, "tests/killed_job.py", "3", "--root", str(root), "--data", str(data), "--job", "lost"]
    killed = subprocess.run(command, cwd=ROOT, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    complete = {p: p.stat().st_mtime_ns for p in root.glob("records/*.json")}
    assert len(complete) == len(there) + 3 and sum(map(len, lost.values())) > 3
    done = snakemake(build)
    assert done.returncode == 0, output(done)
    assert {p: p.stat().st_mtime_ns for p in complete} == complete
    pd.testing.assert_frame_equal(numbers(build), numbers(made))
    assert results(build) == results(made)  # byte for byte, over two builds


def lose_some(folders: Folders, count: int = 5) -> dict[str, list[int]]:
    """The first arms of imagenet without their records, as a job trains them."""
    arms = [json.loads(path.read_text()) for path in sorted(folders.root.glob("arms/*.json"))]
    lost = {arm["arm"]: arm["seeds"] for arm in arms if arm["spec"]["task"] == "imagenet" and not arm["spec"]["source"]}
    lost = dict(list(lost.items())[:count])
    for arm, seeds in lost.items():
        folders.index(arm).unlink()
        for seed in seeds:
            folders.record(run_id(arm, seed)).unlink()
    return lost


@pytest.mark.parametrize(
    "config, says",
    [
        ("methods=group_nrm", "config: methods: 'group_nrm' is no method; did you mean 'group_norm'?"),
        ("tier=quik", "--config tier: 'quik' is no tier; did you mean 'quick'?"),
        ("paprs=skipinit", "--config: 'paprs' is no key; did you mean 'papers'?"),
    ],
)
def test_a_misspelt_word_ends_with_one_sentence_before_anything_is_written(config, says, tmp_path):
    done = snakemake(tmp_path / "build", config)
    assert done.returncode == 1
    assert says in output(done) and "Traceback" not in output(done)
    assert not (tmp_path / "build").exists()
