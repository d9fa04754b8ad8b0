"""A tracking server that is down, slow or broken costs no record and little time; when it is back, one command completes it."""

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from patience import PATIENCE, until
from records_on_disk import run_main, write_line

from normbench.core.schema import ROOT
from normbench.execution import mlflow_import, mlflow_store

pytestmark = pytest.mark.slow


@pytest.fixture
def build(tmp_path) -> Path:
    write_line(tmp_path / "build" / "tiny")
    return tmp_path / "build"


def imports(build: Path, port: int) -> int:
    """The exit code of the import into the server at `port`."""
    root = build / "tiny"
    return run_main(mlflow_import.main, root, "--tracking-uri", f"http://127.0.0.1:{port}", "--done", str(root / "mlflow.done"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def mlflow_server(folder: Path):
    """The port of a real one."""
    port = free_port()
    words = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "mlflow", "server", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or listens(port), "MLflow's server listens")
        assert process.poll() is None, "the server ended"
        yield port
    finally:
        process.terminate()
        process.wait()


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
    with mlflow_server(build) as port:
        assert imports(build, port) == 0
        client = MlflowClient(f"http://127.0.0.1:{port}")
        experiment = client.get_experiment_by_name("normbench/tiny/imagenet")
        assert sorted(run.data.tags["run"] for run in client.search_runs([experiment.experiment_id])) == ["arm-s0", "arm-s1", "arm-s2"]
        assert imports(build, port) == 0
        assert len(client.search_runs([experiment.experiment_id])) == 3
    assert {path: path.read_bytes() for path in records} == records


def test_no_training_knows_the_server():
    """So none can be slowed by it."""
    for file in ("execution/job.py", "training/loop.py"):
        text = (ROOT / "normbench" / file).read_text()
        assert "mlflow" not in text and "tracking" not in text, file
