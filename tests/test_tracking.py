"""MLflow mirrors the records: once each, whole, again when the store is gone, and never in the way."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from facts import names
from mlflow_builds import imports, runs, uri
from records_on_disk import a_record, run_main, write_index, write_line

from normbench.execution import mlflow_import, mlflow_store
from normbench.execution.records import read_record, write_record
from normbench.planning.folders import Folders

TABLES = ("experiments", "runs", "params", "metrics", "latest_metrics", "tags")


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> Path:
    """build/, once imported: making MLflow's schema takes seconds."""
    build = tmp_path_factory.mktemp("build")
    assert imports(write_line(build / "tiny")) == 0
    return build


@pytest.fixture
def build(imported, tmp_path) -> Path:
    """A build/ of its own, with what was imported."""
    shutil.copytree(imported, tmp_path / "build")
    return tmp_path / "build"


def counts(build: Path) -> dict[str, int]:
    with sqlite3.connect(build / "mlflow.db") as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


def test_every_run_is_there_with_its_params_metrics_tags_and_record(build):
    from mlflow import MlflowClient

    client, found = MlflowClient(uri(build)), runs(build)
    assert set(found) == {"arm-s0", "arm-s1", "arm-s2"}
    record = read_record(build / "tiny" / "records" / "arm-s1.json")
    run = found["arm-s1"]
    assert (run.data.params["recipe.lr"], run.data.params["method"], run.data.params["seed"], run.data.params["params.eps"]) == (
        "0.1", "batch_norm", "1", "1e-05"
    )  # fmt: skip
    assert {name: run.data.metrics[name] for name in record.metrics} == record.metrics
    history = client.get_metric_history(run.info.run_id, "curve/train_loss")
    assert sorted((m.step, m.value) for m in history) == record.curves["train_loss"]
    assert (run.data.tags["arm"], run.data.tags["tier"], run.data.tags["status"]) == ("arm", "tiny", "finished")
    assert (run.info.status, found["arm-s2"].info.status) == ("FINISHED", "FAILED")
    assert found["arm-s2"].data.tags["cause"] == "the training loss is not finite"


def test_the_record_itself_is_beside_each_run(imported):
    from mlflow import MlflowClient

    run = runs(imported)["arm-s0"]
    path = Path(run.info.artifact_uri.removeprefix("file://")) / "record.json"
    assert MlflowClient(uri(imported)).list_artifacts(run.info.run_id)[0].path == "record.json"
    assert path.read_bytes() == (imported / "tiny" / "records" / "arm-s0.json").read_bytes()


def test_importing_again_changes_nothing(build, capsys):
    before = counts(build)
    assert imports(build / "tiny") == 0
    assert counts(build) == before and before["runs"] == 3
    assert capsys.readouterr().out.startswith("mlflow: 0 runs imported, 3 were there; ")


def test_a_changed_record_replaces_its_run(build):
    old = runs(build)
    write_record(a_record(1, metrics={"test_top1": 55.0}), build / "tiny" / "records" / "arm-s1.json")
    write_index(Folders(build, "tiny"))
    assert imports(build / "tiny") == 0
    new = runs(build)
    assert set(new) == set(old) and new["arm-s1"].data.metrics["test_top1"] == 55.0
    assert new["arm-s0"].info.run_id == old["arm-s0"].info.run_id
    assert new["arm-s1"].info.run_id != old["arm-s1"].info.run_id


def test_a_half_imported_run_is_imported_again(build):
    with sqlite3.connect(build / "mlflow.db") as connection:
        (half,) = connection.execute("SELECT run_uuid FROM tags WHERE key = 'run' AND value = 'arm-s0'").fetchone()
        connection.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (half,))
    assert imports(build / "tiny") == 0
    assert set(runs(build)) == {"arm-s0", "arm-s1", "arm-s2"} and runs(build)["arm-s0"].info.run_id != half


def test_a_store_that_was_deleted_is_filled_again(build):
    before = {name: (run.data.params, run.data.metrics) for name, run in runs(build).items()}
    (build / "mlflow.db").unlink()
    assert imports(build / "tiny") == 0
    assert {name: (run.data.params, run.data.metrics) for name, run in runs(build).items()} == before


def test_a_locked_store_is_one_sentence_and_a_later_import_works(build, monkeypatch, capsys):
    monkeypatch.setattr(mlflow_store, "SQLITE_WAIT", 0.1)
    write_record(a_record(1, metrics={"test_top1": 55.0}), build / "tiny" / "records" / "arm-s1.json")
    write_index(Folders(build, "tiny"))
    (build / "tiny" / "mlflow.done").unlink()
    with sqlite3.connect(build / "mlflow.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert imports(build / "tiny") == 1
        other.execute("ROLLBACK")
    says = "MLflow's store cannot be written (database is locked); the records are safe, `snakemake all` imports them again"
    assert capsys.readouterr().err == f"error: {uri(build)}: {says}\n"
    assert not (build / "tiny" / "mlflow.done").exists()
    assert imports(build / "tiny") == 0
    assert runs(build)["arm-s1"].data.metrics["test_top1"] == 55.0


def test_a_record_that_is_missing_is_one_sentence(build, capsys):
    (build / "tiny" / "records" / "arm-s1.json").unlink()
    (build / "mlflow.db").unlink()
    assert imports(build / "tiny") == 1
    names(capsys.readouterr().err, build / "tiny" / "index" / "arm.json", "1 of 1 arms", "`snakemake all`")
    assert not Folders(build, "tiny").tracked(uri(build)).is_file()


def test_the_mark_of_an_import_is_of_its_store_alone(build):
    folders = Folders(build, "tiny")
    mark, elsewhere = folders.tracked(uri(build)), folders.tracked("http://127.0.0.1:5000")
    assert run_main(mlflow_import.main, build / "tiny", "--tracking-uri", uri(build), "--done", str(mark)) == 0
    assert mark.is_file() and folders.tracked(uri(build)) == mark != elsewhere and not elsewhere.exists()


def test_where_the_store_is_lost_another_mark_is_asked_for_and_none_is_removed(tmp_path):
    tiny, quick = (Folders(tmp_path, tier) for tier in ("tiny", "quick"))
    (tmp_path / "mlflow.db").touch()
    before = [folders.tracked(uri(tmp_path)) for folders in (tiny, quick)]
    for mark in before:
        mark.parent.mkdir(parents=True)
        mark.touch()
    (tmp_path / "mlflow.db").unlink()
    after = [folders.tracked(uri(tmp_path)) for folders in (tiny, quick)]
    assert not set(before) & set(after) and all(mark.exists() for mark in before) and not any(mark.exists() for mark in after)
    (tmp_path / "mlflow.db").touch()
    assert [folders.tracked(uri(tmp_path)) for folders in (tiny, quick)] == before


def test_a_store_that_is_made_anew_takes_back_what_every_tier_said_of_the_lost_one(build):
    tiny, quick = (Folders(build, tier) for tier in ("tiny", "quick"))
    mark = quick.tracked(uri(build))
    mark.parent.mkdir(parents=True)
    mark.touch()
    (build / "mlflow.db").unlink()
    asked = tiny.tracked(uri(build))
    assert run_main(mlflow_import.main, build / "tiny", "--tracking-uri", uri(build), "--done", str(asked)) == 0
    assert asked.is_file() and tiny.tracked(uri(build)).is_file(), "it would be imported once more"
    assert not quick.tracked(uri(build)).is_file(), "quick's runs would never be imported again"


def test_nothing_reads_mlflow_back(build):
    """The collected tables come from the records, whatever the store says."""
    from normbench.execution.collect import main as collect

    (build / "mlflow.db").write_bytes(b"nothing that a database would hold")
    assert run_main(collect, build / "tiny") == 0
    assert json.loads((build / "tiny" / "plan.json").read_text())["tier"] == "tiny"
