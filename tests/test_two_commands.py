"""Two commands on one build: the second one looks or is refused, and the first one loses nothing."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from patience import until
from test_plan_file import state

from normbench.config.spec import run_id
from normbench.core.schema import ROOT

pytestmark = pytest.mark.slow

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
SELECTION = ("tier=tiny", "papers=norm_matters", "tasks=propagation,imagenet", "methods=batch_norm")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
OTHER = ("tier=tiny", "papers=norm_matters", "tasks=imagenet", "methods=l1_batch_norm")


def command(target: str, build: Path, *words: str) -> list[str]:
    return [*SNAKEMAKE, target, "--cores", "1", "--config", f"build={build}", *words]


def run(words: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def collected(build: Path) -> set[str]:
    return set(pd.read_parquet(build / "tiny" / "runs.parquet").run)


def planned(build: Path) -> dict[str, tuple[int, int]]:
    """What a build is prepared with."""
    names = {"plan.json", "arms", "jobs", "papers", "tier.yaml"}
    return {n: about for n, about in state(build / "tiny").items() if n.split("/")[0] in names and not n.endswith(".done")}


@dataclass
class Beside:
    """A build, and others that were started beside it while it trained. before, after: what it was prepared with, around these."""

    build: Path
    code: int
    said: str
    before: dict
    after: dict
    plan: subprocess.CompletedProcess
    dry: subprocess.CompletedProcess
    second: subprocess.CompletedProcess


@pytest.fixture(scope="module")
def beside(tmp_path_factory) -> Beside:
    build = tmp_path_factory.mktemp("commands") / "build"
    log = build.parent / "log"
    with open(log, "w") as file:
        first = subprocess.Popen(command("runs", build, *SELECTION), cwd=ROOT, stdout=file, stderr=file, env=ENVIRONMENT)
    while first.poll() is None and not list(build.glob("tiny/records/*.json")):
        time.sleep(0.05)
    before = planned(build)
    others = [run(command("plan", build, *OTHER)), run([*command("all", build, *OTHER), "--dry-run"]), run(command("all", build, *OTHER))]
    after = planned(build)
    return Beside(build, first.wait(), log.read_text(), before, after, *others)


def test_a_look_beside_a_running_build_changes_nothing_of_it(beside):
    assert beside.before == beside.after and beside.before
    assert beside.plan.returncode == 0 and "arms" in beside.plan.stdout, beside.plan.stderr
    assert beside.dry.returncode == 0 and "train" in beside.dry.stdout + beside.dry.stderr


def test_a_second_build_is_refused_and_the_first_ends_with_all_of_its_runs(beside):
    said = beside.second.stdout + beside.second.stderr
    assert beside.second.returncode != 0 and f"{beside.build / 'tiny'}: is being built by process" in said and "Traceback" not in said
    assert beside.code == 0, beside.said
    plan = json.loads((beside.build / "tiny" / "plan.json").read_text())
    assert collected(beside.build) == {run_id(arm, seed) for arm, entry in plan["arms"].items() for seed in entry["seeds"]}
    assert {entry["spec"]["method"] for entry in plan["arms"].values()} == {"batch_norm"}


def test_after_a_kill_of_the_main_process_the_same_command_goes_on(tmp_path):
    """Its trainings live on beside it, for a while or to their end; each run is trained once all the same."""
    build = tmp_path / "build"
    words = ("tier=tiny", "papers=norm_matters", "tasks=imagenet", "methods=batch_norm")
    first = subprocess.Popen(
        command("runs", build, *words), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    until(lambda: list(build.glob("tiny/records/*.json")) or first.poll() is not None, "the first record")
    first.kill()
    first.wait()
    done = run(command("runs", build, *words))
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said and "rerun-incomplete" not in said, said
    assert f"process {first.pid} " in said, "whose end it goes on from"
    runs = pd.read_parquet(build / "tiny" / "runs.parquet")
    assert set(runs.run) == {path.stem for path in build.glob("tiny/records/*.json")} and not runs.duplicated(["run", "metric"]).any()


def test_what_was_refused_goes_on_later_and_loses_nothing_of_the_first(beside):
    first = collected(beside.build)
    done = run(command("runs", beside.build, *OTHER))
    assert done.returncode == 0, done.stdout + done.stderr
    assert first < collected(beside.build)
