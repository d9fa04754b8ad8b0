"""A store of MLflow's, by its address: a sqlite file, a server, or another database. Loads MLflow only to connect."""

import logging
import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from normbench.planning.folders import SQLITE

SQLITE_WAIT = 20  # seconds that a locked file is waited for
HTTP_WAIT = 30  # seconds that a server may take for an answer; it is asked twice, where MLflow would ask for a quarter of an hour


def is_file(uri: str) -> bool:
    return uri.startswith(SQLITE)


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def shown(uri: str) -> str:
    """The address as it may be printed: without a password."""
    password = None if is_file(uri) else urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def how_to_look(uri: str) -> str:
    """What to open, or the command that serves it here."""
    return f"open {shown(uri)}" if is_server(uri) else f"mlflow server --backend-store-uri {shlex.quote(shown(uri))} --host 127.0.0.1"


def connected(uri: str) -> Any:
    """An MlflowClient of the store; a file that is not there is made, with its tables."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a mirror of results tells nobody else
    # Of its own experiment, which stays empty: what stands here goes into SQL as it is, and a folder's name may hold quotes.
    os.environ.setdefault("_MLFLOW_SERVER_ARTIFACT_ROOT", Path("mlruns").absolute().as_uri())
    os.environ["MLFLOW_LOGGING_LEVEL"] = "CRITICAL"  # what goes wrong is said in a sentence of ours, and not in its tracebacks
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # two lines a run
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(HTTP_WAIT)
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    if is_file(uri):
        path = Path(uri.removeprefix(SQLITE))
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_unlocked(path)
    from mlflow import MlflowClient

    for library in ("mlflow", "alembic"):  # also where it was loaded before with more to say
        logging.getLogger(library).setLevel(logging.CRITICAL)
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "connect", _without_waiting):
        event.listen(Engine, "connect", _without_waiting)
    return MlflowClient(uri)


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
