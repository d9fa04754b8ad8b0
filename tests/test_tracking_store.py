"""The mirror in a store that people work in too: what they look for is tagged, what they delete comes back, what is theirs stays."""

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facts import names
from mlflow_builds import client, experiment, found, imports, runs, two_papers, uri, write_run
from records_on_disk import SPEC, run_main, write_index, write_line

from normbench.config.papers import read_paper
from normbench.config.spec import arm_from
from normbench.config.tiers import read_tier
from normbench.execution import mlflow_import, mlflow_mirror
from normbench.execution.mlflow_run import TAG, between_bars
from normbench.execution.mlflow_store import how_to_look, shown
from normbench.execution.mlflow_views import PREFIX
from normbench.execution.records import read_record
from normbench.planning.folders import Folders
from normbench.planning.plan import Effort, Plan

pytestmark = pytest.mark.slow
ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
INFINITE = float("inf")


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    return two_papers(tmp_path_factory.mktemp("build"), ended=ENDED)


@pytest.fixture
def build(imported, tmp_path) -> Path:
    shutil.copytree(imported, tmp_path / "build")
    return tmp_path / "build"


def test_runs_are_found_by_paper_method_and_outcome(imported):
    arm = next(iter(read_paper("skipinit").arms))
    for search, count in (
        ("tags.paper LIKE '%|skipinit|%'", 3),
        ("tags.paper LIKE '%|norm_matters|%' AND tags.method = 'batch_norm'", 3),
        ("tags.paper LIKE '%|norm|%'", 0),
        (f"tags.paper_arm LIKE '%|skipinit/{arm}|%' AND tags.task = 'imagenet' AND tags.dataset = 'digits'", 3),
        ("tags.status != 'finished'", 1),
        ("tags.seed = '1' AND tags.tier = 'tiny' AND tags.arm = 'arm'", 1),
    ):
        assert len(found(imported, search)) == count, search
    assert runs(imported)["arm-s0"].data.tags["model"] == " ".join(Plan.read(imported / "tiny").model_names("arm"))


def test_a_tag_of_more_papers_arms_than_it_holds_has_whole_names():
    many = [f"paper/arm{i}" for i in range(2000)]
    text = between_bars(many)
    assert TAG - 20 < len(text) <= TAG and text.startswith("|") and text.endswith("|") and set(text.strip("|").split("|")) < set(many)
    assert between_bars(["a", "b"]) == "|a|b|" and between_bars([]) == ""


def test_a_run_took_place_when_it_was_trained(imported):
    run = runs(imported)["arm-s1"].info
    assert (run.start_time, run.end_time) == (round(ENDED.timestamp() * 1000) - 1500, round(ENDED.timestamp() * 1000))
    without = Folders.of(imported / "tiny").record("arm-s0")
    assert read_record(without).ended is None
    assert abs(runs(imported)["arm-s0"].info.end_time - without.stat().st_mtime * 1000) < 2


def test_views_are_there_and_what_somebody_changed_stays(build):
    names_of_views = {f"{PREFIX}{name}" for name in ("failed", "methods-skipinit", "curves-skipinit", "methods-norm_matters")}
    assert names_of_views <= experiment(build).tags.keys()
    client(build).set_experiment_tag(experiment(build).experiment_id, f"{PREFIX}failed", "mine")
    assert imports(build / "tiny") == 0
    assert experiment(build).tags[f"{PREFIX}failed"] == "mine"


def test_an_experiment_that_was_deleted_is_restored_with_the_runs_of_today(build, capsys):
    write_run(build / "tiny", metrics={"test_top1": 55.0})
    assert imports(build / "tiny") == 0  # which deletes the run that it replaces
    before = {name: run.info.run_id for name, run in runs(build).items()}
    client(build).delete_experiment(experiment(build).experiment_id)
    capsys.readouterr()
    assert imports(build / "tiny") == 0
    names(capsys.readouterr().err, "normbench/tiny/imagenet", uri(build), "restored")
    assert experiment(build).lifecycle_stage == "active" and len(found(build)) == 3
    assert {name: run.info.run_id for name, run in runs(build).items()} == before
    assert imports(build / "tiny") == 0 and not capsys.readouterr().err


def test_a_run_that_was_deleted_is_restored_with_what_was_noted_on_it(build, capsys):
    run = runs(build)["arm-s0"].info.run_id
    client(build).set_tag(run, "mlflow.note.content", "look at this one")
    client(build).delete_run(run)
    assert imports(build / "tiny") == 0
    names(capsys.readouterr().err, "arm-s0", uri(build), "restored")
    assert len(found(build)) == 3 and runs(build)["arm-s0"].info.run_id == run
    assert runs(build)["arm-s0"].data.tags["mlflow.note.content"] == "look at this one"


def test_a_run_of_somebody_else_is_left_alone(build):
    theirs = client(build).create_run(experiment(build).experiment_id).info.run_id
    assert imports(build / "tiny") == 0
    assert client(build).get_run(theirs).info.lifecycle_stage == "active" and len(found(build)) == 4


def test_what_is_no_number_is_kept_and_what_is_infinite_is_named_and_not_made_finite(build):
    values = {"curves": {"train_loss": [(1, 2.0), (2, INFINITE), (3, float("nan"))]}, "metrics": {"test_loss": -INFINITE, "test_top1": 9.0}}
    write_run(build / "tiny", **values)
    assert imports(build / "tiny") == 0
    run = runs(build)["arm-s1"]
    assert "test_loss" not in run.data.metrics and run.data.metrics["test_top1"] == 9.0
    assert run.data.tags["infinite"] == "curve/train_loss=inf at step 2, test_loss=-inf at step 3"
    points = client(build).get_metric_history(run.info.run_id, "curve/train_loss")
    assert [(p.step, str(p.value)) for p in sorted(points, key=lambda p: p.step)] == [(1, "2.0"), (3, "nan")]


def test_what_is_complete_is_imported_while_the_rest_is_missing(build, capsys):
    root, folders = build / "tiny", Folders(build, "tiny")
    (build / "mlflow.db").unlink()
    write_line(root, arm="later")
    folders.index("later").unlink()
    spec, effort = arm_from(SPEC), Effort((0, 1, 2), 1.0, 0)
    Plan(read_tier("tiny"), {}, [], {"arm": spec, "later": spec}, {"arm": effort, "later": effort}).write(root)
    assert mlflow_import.import_records(root, uri(build)) == (3, 0)
    (root / "mlflow.done").unlink()
    assert imports(root) == 1 and not (root / "mlflow.done").exists()
    names(capsys.readouterr().err, folders.index("later"), "1 of 2", "`snakemake all`")
    write_index(folders, "later")
    assert mlflow_import.import_records(root, uri(build)) == (3, 3) and len(found(build)) == 6


def test_a_store_that_is_locked_in_the_middle_is_one_sentence_and_nothing_is_twice_afterwards(build, monkeypatch, capsys):
    (build / "mlflow.db").unlink()
    records = {path: path.read_bytes() for path in (build / "tiny" / "records").iterdir()}
    other = sqlite3.connect(build / "mlflow.db", isolation_level=None, check_same_thread=False)

    def locks(path: Path):
        if path.stem == "arm-s1":
            other.execute("BEGIN EXCLUSIVE")
        return read_record(path)

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_mirror, "read_record", locks)
        assert imports(build / "tiny") == 1
    other.execute("ROLLBACK")
    names(capsys.readouterr().err, uri(build), "locked", "the records are safe", "`snakemake all`")
    assert set(runs(build)) == {"arm-s0"} and {path: path.read_bytes() for path in records} == records
    assert imports(build / "tiny") == 0 and len(found(build)) == 3


def test_the_last_line_says_how_to_look(build, tmp_path, capsys):
    blank = tmp_path / "a b"
    shutil.copytree(build, blank)
    assert run_main(mlflow_import.main, blank / "tiny", "--tracking-uri", uri(blank)) == 0
    assert f"; mlflow server --backend-store-uri 'sqlite:///{blank}/mlflow.db' --host 127.0.0.1\n" in capsys.readouterr().out
    assert how_to_look("http://127.0.0.1:5000") == "open http://127.0.0.1:5000"
    assert "secret" not in how_to_look("postgresql://me:secret@db/mlflow") and "db/mlflow" in how_to_look(
        "postgresql://me:secret@db/mlflow"
    )
    assert shown("https://me:secret@host/path") == "https://me:***@host/path" and shown("sqlite:////a:b@c") == "sqlite:////a:b@c"
