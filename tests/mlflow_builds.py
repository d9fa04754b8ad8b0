"""Builds whose records are in a sqlite store of MLflow's, for the tests of the mirror."""

from pathlib import Path
from typing import Any

from records_on_disk import SPEC, a_record, run_main, write_index, write_line

from normbench.config.papers import read_paper
from normbench.config.spec import arm_from
from normbench.config.tiers import read_tier
from normbench.execution import mlflow_import
from normbench.execution.records import write_record
from normbench.planning.folders import Folders
from normbench.planning.plan import Effort, Plan

EXPERIMENT = "normbench/tiny/imagenet"


def uri(build: Path) -> str:
    return f"sqlite:///{build}/mlflow.db"


def imports(root: Path) -> int:
    """The exit code of the import of a tier."""
    return run_main(mlflow_import.main, root, "--tracking-uri", uri(root.parent), "--done", str(root / "mlflow.done"))


def client(build: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri(build))


def experiment(build: Path) -> Any:
    return client(build).get_experiment_by_name(EXPERIMENT)


def found(build: Path, search: str = "") -> list[Any]:
    """MLflow's runs that are not deleted, in the order of their names."""
    runs = client(build).search_runs([experiment(build).experiment_id], search)
    return sorted(runs, key=lambda run: run.info.run_name)


def runs(build: Path) -> dict[str, Any]:
    """tag run -> MLflow's run."""
    return {run.data.tags["run"]: run for run in found(build)}


def two_papers(build: Path, **fields: Any) -> Path:
    """build/ of an arm that two papers have, imported. fields: of the record of seed 1."""
    root = write_line(build / "tiny")
    write_run(root, **fields)
    papers = {key: read_paper(key) for key in ("norm_matters", "skipinit")}
    points = {(key, next(iter(paper.arms))): [({}, "arm")] for key, paper in papers.items()}
    Plan(read_tier("tiny"), papers, [], {"arm": arm_from(SPEC)}, {"arm": Effort((0, 1, 2), 1.0, 0)}, points).write(root)
    assert imports(root) == 0
    return build


def write_run(root: Path, **fields: Any) -> None:
    """The record of seed 1, written anew."""
    write_record(a_record(1, **fields), Folders.of(root).record("arm-s1"))
    write_index(Folders.of(root))
