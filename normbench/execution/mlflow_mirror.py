"""MLflow's copy of a build's records, as one process writes it.

Every run is there once, by the tag `run`; a run whose record changed is replaced, one that is there already is left alone, and one that
was deleted by hand is restored. What carries no tags of ours is nobody's but its owner's. Nothing is ever read back into results.
"""

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from normbench.config.tasks import read_task
from normbench.core.errors import InputError
from normbench.core.files import read_json
from normbench.execution.mlflow_run import params_of, stored_points, tags_of, times_of
from normbench.execution.mlflow_store import connected, is_file, is_server, shown
from normbench.execution.mlflow_views import view_tags
from normbench.execution.records import read_record
from normbench.planning.folders import Folders, is_lost
from normbench.planning.lock import one_at_a_time
from normbench.planning.pipeline import is_done
from normbench.planning.plan import Plan

METRICS, PARAMS = 1000, 100  # MLflow's limits for one call
LOCK = "mlflow.lock"


@dataclass(frozen=True)
class Copy:
    """A run of MLflow's. sha: of the record that it is a copy of. active: nobody deleted it."""

    id: str
    sha: str
    active: bool


@dataclass
class Experiment:
    """copies: tag run -> what the experiment has of it, deleted ones included."""

    id: str
    copies: dict[str, list[Copy]]


class Mirror:
    """Writes only inside `alone`; MLflow is loaded at the first record. added, kept: runs that were imported, and that were there."""

    def __init__(self, root: Path, tracking_uri: str):
        self.folders, self.plan, self.uri = Folders.of(root), Plan.read(root), tracking_uri
        self.added = self.kept = 0
        self._client: Any = None
        self._experiments: dict[str, Experiment] = {}
        self._build = f"{socket.gethostname()}:{self.folders.build.resolve()}"
        self._told: set[str] = set()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other importer of this build is at work inside. Whatever the store says becomes an InputError of one sentence."""
        try:
            with one_at_a_time(self.folders.build / LOCK) as others_were:
                if others_were:
                    self._experiments.clear()
                yield
        except InputError:
            raise
        except Exception as error:  # SQLAlchemy, sqlite3 and HTTP each have their own; none may cost a record
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise InputError(
                f"{shown(self.uri)}: MLflow's store cannot be written ({reason}); the records are safe, `snakemake all` imports them again"
            ) from error

    def is_complete(self, arm: str) -> bool:
        """Whether the arm has all its records, made by the plan's code."""
        return self.folders.arm(arm).is_file() and is_done(self.folders, read_json(self.folders.arm(arm)))

    def add(self, arm: str) -> None:
        """The records of an arm that is complete."""
        self._client = self._client or self._connected()
        task = self.plan.arms[arm].task
        name = f"normbench/{self.folders.tier}/{task}"
        if name not in self._experiments:
            self._experiments[name] = self._opened(name, view_tags(self.plan.papers, next(iter(read_task(task).metrics))))
        for run, entry in read_json(self.folders.index(arm))["records"].items():
            self._add(self._experiments[name], run, entry["sha256"])

    def _connected(self) -> Any:
        if is_lost(self.uri):
            self.folders.forget_tracked(self.uri)
        return connected(self.uri)

    def _opened(self, name: str, tags: dict[str, str]) -> Experiment:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return Experiment(self._client.create_experiment(name, artifact_location=self._artifacts(), tags=tags), {})
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
            self._tell(name, f"the experiment {name} was deleted in {shown(self.uri)} and is restored, as its runs are mirrored there")
        for tag in tags.keys() - found.tags.keys():  # what somebody changed stays as it is
            self._client.set_experiment_tag(found.experiment_id, tag, tags[tag])
        experiment = Experiment(found.experiment_id, {})
        for run in self._runs(found.experiment_id):
            tags, active = run.data.tags, run.info.lifecycle_stage == "active"
            if not {"run", "record_sha256"} <= tags.keys():
                continue
            if run.info.status != "RUNNING":
                experiment.copies.setdefault(tags["run"], []).append(Copy(run.info.run_id, tags["record_sha256"], active))
            elif active and (is_file(self.uri) or tags.get("build") == self._build):  # half written; of others, another build may do so now
                self._client.delete_run(run.info.run_id)
        return experiment

    def _artifacts(self) -> str | None:
        """Where records are put beside their runs: a folder of this machine, as the database then says; a server decides by itself."""
        return None if is_server(self.uri) else (self.folders.build / "mlartifacts" / self.folders.tier).resolve().as_uri()

    def _runs(self, experiment_id: str) -> Iterator[Any]:
        """All of an experiment, deleted ones too."""
        from mlflow.entities import ViewType

        token = None
        while True:
            page = self._client.search_runs([experiment_id], run_view_type=ViewType.ALL, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _add(self, experiment: Experiment, run: str, sha: str) -> None:
        copies = experiment.copies.get(run, [])
        right = next(iter(sorted((copy for copy in copies if copy.sha == sha), key=lambda copy: not copy.active)), None)
        for copy in copies:
            if copy.active and copy != right:
                self._client.delete_run(copy.id)
        if right and not right.active:
            self._client.restore_run(right.id)
            self._tell(
                "runs", f"runs that were deleted in {shown(self.uri)} are restored, as every record is mirrored there: {run} and others"
            )
        id = right.id if right else self._write(experiment.id, run, sha)
        experiment.copies[run] = [Copy(id, sha, True)]
        self.kept += bool(right)
        self.added += not right

    def _write(self, experiment_id: str, name: str, sha: str) -> str:
        """A record becomes a run; its id."""
        from mlflow.entities import Metric, Param

        path = self.folders.record(name)
        record = read_record(path)
        began, ended = times_of(record, path)
        run = self._client.create_run(experiment_id, start_time=began, tags=tags_of(record, self.plan, sha, self._build))
        params = [Param(name, value) for name, value in params_of(record).items()]
        metrics = [Metric(name, value, ended, step) for name, value, step in stored_points(record)]
        for start in range(0, len(params), PARAMS):
            self._client.log_batch(run.info.run_id, params=params[start : start + PARAMS])
        for start in range(0, len(metrics), METRICS):
            self._client.log_batch(run.info.run_id, metrics=metrics[start : start + METRICS])
        self._put_beside(run.info.artifact_uri, path)
        # Last: until then the run counts as running, and the next import begins it anew.
        self._client.set_terminated(run.info.run_id, status="FINISHED" if record.status == "finished" else "FAILED", end_time=ended)
        return run.info.run_id

    def _put_beside(self, artifact_uri: str, path: Path) -> None:
        """record.json among the run's artifacts; not where a server keeps them in a folder, which may be another machine's."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if is_server(self.uri) and urlsplit(artifact_uri).scheme in ("", "file"):
            self._tell(
                "artifacts",
                f"{shown(self.uri)} keeps artifacts in {artifact_uri}, which may be another machine's: no record.json is put there",
            )
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "record.json"
            copy.write_bytes(path.read_bytes())
            # the client's call asks for the whole run first
            get_artifact_repository(artifact_uri, tracking_uri=self.uri).log_artifact(str(copy))

    def _tell(self, what: str, sentence: str) -> None:
        """On stderr, once of each thing."""
        if what not in self._told:
            print(f"mlflow: {sentence}", file=sys.stderr, flush=True)
            self._told.add(what)
