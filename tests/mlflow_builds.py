"""Builds whose records are in a sqlite store of MLflow's, for the tests of the mirror."""

from pathlib import Path
from typing import Any

from records_on_disk import run_main

from normbench.execution import mlflow_import

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
