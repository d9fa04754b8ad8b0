"""What is finished so far, of an invented build: everything that is made of its complete arms, and why the others are missing."""

import csv
import json
import sys
from pathlib import Path
from unittest import mock

import pytest
from packs import pack_of
from records_on_disk import write_index
from test_plan_file import state
from test_selections import invented

from normbench.core.files import write_json
from normbench.execution.columns import RUNS
from normbench.execution.records import write_record
from normbench.execution.tables import read_table
from normbench.execution.unfinished import note_failure
from normbench.planning.folders import Folders
from normbench.planning.pipeline import open_pipeline, prepare
from normbench.reporting import so_far

pytestmark = pytest.mark.slow

SELECTION = {"tier": "tiny", "papers": "norm_matters", "tasks": "imagenet", "methods": "batch_norm,l1_batch_norm,topk_batch_norm"}
FAILED, WAITING = "l1_batch_norm", "topk_batch_norm"


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Folders:
    """All arms of batch norm are complete; those of one method failed, those of another have one seed."""
    config = {**SELECTION, "build": str(tmp_path_factory.mktemp("so far") / "build")}
    pipeline = open_pipeline(config)
    prepare(pipeline)
    folders = pipeline.folders
    for record in invented(pipeline.plan, "finished"):
        method = record.spec["method"]
        if method == "batch_norm" or (method == WAITING and record.seed == 0):
            write_record(record.model_copy(update={"code": code_of(folders, record.arm)}), folders.record(record.run))
    for arm in pipeline.plan.selected:
        method = pipeline.plan.arms[arm].method
        if method == "batch_norm":
            write_index(folders, arm)
        elif method == FAILED:
            note_failure(folders, arm, "RuntimeError: a planted fault", "some")
    return folders


def code_of(folders: Folders, arm: str) -> dict:
    return json.loads(folders.arm(arm).read_text())["code"]


def run(folders: Folders, *words: str, **more: str) -> int:
    config = json.dumps({**SELECTION, "build": str(folders.build), **more})
    with mock.patch.object(sys, "argv", ["so_far", "--config", config, *words]), mock.patch("os.nice"):
        return so_far.main()


def claims(root: Path) -> dict[str, dict[str, str]]:
    with open(root / "claims.csv", encoding="utf-8", newline="") as file:
        return {row["claim"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def made(build) -> Path:
    before = state(build.root)
    assert run(build) == 0
    changed = {name for name, about in state(build.root).items() if before.get(name) != about}
    assert all(name.split("/")[0] in ("so_far", "tracked") for name in changed), changed
    return build.so_far


def test_the_tables_hold_the_complete_arms_and_the_others_are_listed_with_why(made, build):
    assert set(read_table(made, RUNS)["method"]) == {"batch_norm"}
    with open(made / "unfinished.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["method"], row["status"], row["log"]) for row in rows} == {
        (FAILED, "failed", "logs/some.log"),
        (WAITING, "not finished", ""),
    }
    assert {row["trained"] for row in rows if row["method"] == WAITING} == {"1"}
    planned = json.loads((made / "plan.json").read_text())["arms"]
    assert len(rows) + read_table(made, RUNS)["arm"].n_unique() == len(planned)


def test_a_verdict_that_needs_what_is_missing_says_so(made):
    found = claims(made)
    assert found["l1-matches-l2"]["verdict"] == "not run"
    assert "failed" in found["l1-matches-l2"]["because"] and "a planted fault" in found["l1-matches-l2"]["because"]
    assert found["topk-matches"]["verdict"] == "not run" and "finished" in found["topk-matches"]["because"]
    assert found["wd-is-lr"]["verdict"] != "not run"


def test_the_page_says_at_its_head_what_is_missing_and_then_which(made):
    page = (made / "report.html").read_text(encoding="utf-8")
    head, unfinished = page.index("not complete"), page.index('id="unfinished"')
    assert head < page.index('id="ledger"') < unfinished
    assert "a planted fault" in page[unfinished:] and "logs/some.log" in page[unfinished:]


def test_mlflow_has_the_complete_arms(made, build):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{build.build / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("normbench/tiny/imagenet")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert sorted(run.data.tags["run"] for run in runs) == sorted(set(read_table(made, RUNS)["run"]))


def test_after_the_end_results_take_their_places_and_old_marks_go(made, build):
    write_json(build.made("claims"), {"files": {}})
    assert run(build, "--ended") == 0
    assert claims(build.root) == claims(made)
    assert "not complete" in (build.root / "report.html").read_text(encoding="utf-8")
    assert not list(build.root.glob("made/*")) and not list(build.root.glob("collected/*"))


def test_nothing_finished_is_said_and_nothing_made(tmp_path, capsys):
    folders = Folders(tmp_path, "tiny")
    assert run(folders) == 0
    assert "none of its" in capsys.readouterr().out and not folders.root.exists()


def test_what_a_pack_offers_and_nobody_has_taken_up_is_not_finished(build, tmp_path, capsys):
    pack = pack_of(open_pipeline({**SELECTION, "build": str(build.build)}), tmp_path)
    other = Folders(tmp_path / "other", "tiny")
    assert run(other, pack=str(pack)) == 0
    assert "none of its" in capsys.readouterr().out and not other.root.exists()
