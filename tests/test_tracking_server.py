"""A tracking server that is down, slow or broken costs no record and little time; when it is back, one command completes it."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from facts import names
from mlflow_page import free_port, kill, mlflow_server
from patience import PATIENCE
from records_on_disk import a_record, run_main, write_index, write_line

from normbench.core.schema import ROOT
from normbench.execution import mlflow_import, mlflow_mirror, mlflow_store
from normbench.execution.records import read_record, write_record
from normbench.planning.folders import Folders

pytestmark = pytest.mark.slow


@pytest.fixture
def build(tmp_path) -> Path:
    write_line(tmp_path / "build" / "tiny")
    return tmp_path / "build"


def imports(build: Path, port: int) -> int:
    """The exit code of the import into the server at `port`."""
    root = build / "tiny"
    return run_main(mlflow_import.main, root, "--tracking-uri", f"http://127.0.0.1:{port}", "--done", str(root / "mlflow.done"))


@contextmanager
def answering(status: int, late: bool):
    """(port, asked) of a server that answers everything with `status`, and, if `late`, only once nobody waits any more.

    asked: a line for each request so far.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.requestline)
            if late:
                released.wait(PATIENCE)
            self.send_response(status)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    released, asked = threading.Event(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    released.set()
    server.shutdown()
    server.server_close()


def test_a_server_that_is_down_slow_or_broken_is_one_sentence_and_later_gets_all(build, monkeypatch, capsys):
    from mlflow import MlflowClient

    records = {path: path.read_bytes() for path in (build / "tiny" / "records").glob("*.json")}
    assert imports(build, free_port()) == 1
    for status, late in ((500, False), (200, True)):
        with answering(status, late) as (port, asked), monkeypatch.context() as patch:
            patch.setattr(mlflow_store, "HTTP_WAIT", 1)  # of a server that answers in time no more would be waited for
            assert imports(build, port) == 1
            assert len(asked) == 2, "asked once more, and not again and again"
    monkeypatch.setattr(mlflow_store, "HTTP_WAIT", PATIENCE)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3 and all(
        line.startswith("error: http://127.0.0.1:") and line.endswith("the records are safe, `snakemake all` imports them again")
        for line in told
    )
    assert not (build / "tiny" / "mlflow.done").exists()
    with mlflow_server(build) as (port, _):
        assert imports(build, port) == 0
        client = MlflowClient(f"http://127.0.0.1:{port}")
        experiment = client.get_experiment_by_name("normbench/tiny/imagenet")
        assert sorted(run.data.tags["run"] for run in client.search_runs([experiment.experiment_id])) == ["arm-s0", "arm-s1", "arm-s2"]
        assert imports(build, port) == 0
        assert len(client.search_runs([experiment.experiment_id])) == 3
    assert {path: path.read_bytes() for path in records} == records


def test_a_server_keeps_records_itself_and_one_that_dies_in_the_middle_has_each_run_once_afterwards(build, tmp_path, monkeypatch, capsys):
    from mlflow import MlflowClient

    folders, values = Folders(build, "tiny"), [(1, 2.0), (2, float("inf")), (3, float("nan"))]
    write_record(a_record(0, curves={"train_loss": values}), folders.record("arm-s0"))
    write_index(folders)
    with mlflow_server(tmp_path) as (port, process), monkeypatch.context() as patch:

        def dies(path: Path):
            if path.stem == "arm-s1":
                kill(process)
            return read_record(path)

        patch.setattr(mlflow_mirror, "read_record", dies)
        assert imports(build, port) == 1
    names(capsys.readouterr().err, f"http://127.0.0.1:{port}", "the records are safe", "`snakemake all`")
    with mlflow_server(tmp_path) as (port, _):
        client = MlflowClient(f"http://127.0.0.1:{port}")
        experiment = client.get_experiment_by_name("normbench/tiny/imagenet").experiment_id
        client.delete_experiment(experiment)
        assert imports(build, port) == 0
        said = capsys.readouterr()
        names(said.err, "normbench/tiny/imagenet", "restored")
        names(said.out, "2 runs imported, 1 were there", f"open http://127.0.0.1:{port}")
        runs = {run.data.tags["run"]: run for run in client.search_runs([experiment])}
        assert sorted(runs) == ["arm-s0", "arm-s1", "arm-s2"]
        for name, run in runs.items():
            assert run.info.artifact_uri.startswith("mlflow-artifacts:")
            got = Path(client.download_artifacts(run.info.run_id, "record.json", str(tmp_path)))
            assert got.read_bytes() == folders.record(name).read_bytes()
        points = client.get_metric_history(runs["arm-s0"].info.run_id, "curve/train_loss")
        assert sorted((p.step, str(p.value)) for p in points) == [(1, "2.0"), (3, "nan")]
        assert runs["arm-s0"].data.tags["infinite"] == "curve/train_loss=inf at step 2"
    assert not (build / "mlartifacts").exists()


def test_no_training_knows_the_server():
    """So none can be slowed by it."""
    for file in ("execution/job.py", "training/loop.py"):
        text = (ROOT / "normbench" / file).read_text()
        assert "mlflow" not in text and "tracking" not in text, file
