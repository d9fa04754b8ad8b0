"""Records into MLflow:  python -m normbench.execution.mlflow_import --root build/quick --tracking-uri sqlite:///build/mlflow.db

The records are the truth and this is a mirror: every run once, by the tag `run`; a run whose record
changed is replaced, one that is there already is left alone, and nothing is ever read back into results.
Importing is repeated by the next `snakemake all` where the store was locked, absent or deleted.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import read_json, write_if_changed
from normbench.core.gc_tuning import leave_imports_alone
from normbench.execution.records import Record, read_record
from normbench.planning.folders import SQLITE, Folders
from normbench.planning.plan import Plan

BATCH = 1000  # MLflow's limit of params and metrics together in one call
PARAMS = 100  # and of params
SQLITE_WAIT = 20  # seconds that a locked store is waited for
HTTP_WAIT = 30  # seconds that a server may take for an answer; it is asked twice, where MLflow would ask for a quarter of an hour


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--done", type=Path, help="a file that says, once all is imported, into which store")
    args = parser.parse_args()
    leave_imports_alone()
    added, kept = import_records(args.root, args.tracking_uri)
    if args.done:
        write_if_changed(args.done, f"{args.tracking_uri}\n")
        args.done.touch()
    print(f"mlflow: {added} runs imported, {kept} were there; mlflow server --backend-store-uri {args.tracking_uri} --host 127.0.0.1")


def import_records(root: Path, tracking_uri: str) -> tuple[int, int]:
    """Mirror all records of the plan; returns (imported, already there)."""
    folders = Folders.of(root)
    records = {}
    for arm in Plan.read(root).arms:
        records |= {run: entry["sha256"] for run, entry in read_json(folders.index(arm))["records"].items()}
    try:
        return _import(folders, records, tracking_uri)
    except InputError:
        raise
    except Exception as error:  # SQLAlchemy, sqlite3 and HTTP each have their own; none may cost a record
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{tracking_uri}: MLflow's store cannot be written ({reason}); the records are safe, `snakemake all` imports them again"
        ) from error


def _import(folders: Folders, records: dict[str, str], tracking_uri: str) -> tuple[int, int]:
    client = _client(tracking_uri)
    known: dict[str, dict[str, Any]] = {}
    added = 0
    for run, sha in records.items():
        experiment = f"normbench/{folders.tier}/{_task_of(folders, run)}"
        if experiment not in known:
            known[experiment] = _present(client, experiment, folders)
        entry = known[experiment]
        there = entry["runs"].get(run)
        if there and there[1] == sha:
            continue
        if there:
            client.delete_run(there[0])
        record = read_record(folders.record(run))
        _add(client, entry["id"], record, sha, folders.record(run))
        added += 1
    return added, len(records) - added


def _client(tracking_uri: str):
    """A client of the store, its schema created first: many writers on a new sqlite file fail."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a mirror of results tells nobody else
    # Of its own experiment, which stays empty: what stands here goes into SQL as it is, and a folder's name may hold quotes.
    os.environ.setdefault("_MLFLOW_SERVER_ARTIFACT_ROOT", Path("mlruns").absolute().as_uri())
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(HTTP_WAIT)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    if tracking_uri.startswith(SQLITE):
        path = Path(tracking_uri.removeprefix(SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_unlocked(path)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _without_waiting):
        event.listen(Engine, "connect", _without_waiting)
    return MlflowClient(tracking_uri)


def _without_waiting(connection, _) -> None:
    """Let sqlite not wait for the disk at each of thousands of commits: a mirror that is lost is made again from the records."""
    if "sqlite" in type(connection).__module__:
        connection.execute("PRAGMA synchronous=OFF")


def _check_unlocked(path: Path) -> None:
    """MLflow retries a locked store for minutes; ask once, with a limit."""
    import sqlite3

    with sqlite3.connect(path, timeout=SQLITE_WAIT) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _present(client, experiment: str, folders: Folders) -> dict[str, Any]:
    """The experiment's id and its runs: tag run -> (MLflow's id, record's hash); half imported ones are removed."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        artifacts = (folders.build / "mlartifacts" / folders.tier).resolve().as_uri()
        return {"id": client.create_experiment(experiment, artifact_location=artifacts), "runs": {}}
    runs, token = {}, None
    while True:
        page = client.search_runs([found.experiment_id], max_results=1000, page_token=token)
        for run in page:
            tags = run.data.tags
            if run.info.status != "RUNNING" and "run" in tags and tags["run"] not in runs:
                runs[tags["run"]] = (run.info.run_id, tags["record_sha256"])
            else:
                client.delete_run(run.info.run_id)
        token = page.token
        if not token:
            return {"id": found.experiment_id, "runs": runs}


def _add(client, experiment_id: str, record: Record, sha: str, path: Path) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    tags = {
        "run": record.run,
        "mlflow.runName": record.run,
        "arm": record.arm,
        "method": record.spec["method"],
        "dataset": record.spec["dataset"],
        "tier": record.tier,
        "status": record.status,
        "record_sha256": sha,
        "git_commit": record.git_commit,
    }
    if record.cause:
        tags["cause"] = record.cause
    run = client.create_run(experiment_id, tags=tags)
    params = [Param(k, str(v)[:6000]) for k, v in _flat(record.spec).items()] + [Param("seed", str(record.seed))]
    last = max((step for points in record.curves.values() for step, _ in points), default=0)
    metrics = [Metric(f"curve/{name}", value, 0, step) for name, points in record.curves.items() for step, value in points]
    metrics += [Metric(name, value, 0, last) for name, value in record.metrics.items()]
    first = BATCH - PARAMS
    client.log_batch(run.info.run_id, params=params[:PARAMS], metrics=metrics[:first])
    for start in range(first, len(metrics), BATCH):
        client.log_batch(run.info.run_id, metrics=metrics[start : start + BATCH])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "record.json"
        copy.write_bytes(path.read_bytes())
        get_artifact_repository(run.info.artifact_uri).log_artifact(str(copy))  # the client's call asks for the whole run first
    # Last: until then the run counts as running, and the next import begins it anew.
    client.set_terminated(run.info.run_id, status="FINISHED" if record.status == "finished" else "FAILED")


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _task_of(folders: Folders, run: str) -> str:
    arm = run.rpartition("-s")[0]
    return json.loads(folders.arm(arm).read_text(encoding="utf-8"))["spec"]["task"]


if __name__ == "__main__":
    sys.exit(main())
