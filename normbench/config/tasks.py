"""Tasks are folders: tasks/<task>/task.yaml says what a task measures and how; adapter.py does it.

`read_task`, `recipe_schema` and `work_of` need no torch; `load_adapter` imports the task's framework.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field, model_validator

from normbench.config.recipe import Recipe
from normbench.config.recipe_fields import RecipeFields
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read

TASKS = ROOT / "tasks"


class Metric(Strict):
    """What a number means: unit, which direction is good, the range that it can lie in, one sentence.

    guess: whether it counts right or wrong answers, so that guessing reaches a known value; zero: what has learned nothing scores 0.
    repeats: whether the same run has the same value on another day; times and speeds have not.
    """

    unit: str
    direction: Literal["higher", "lower", "none"]
    low: float | None = None
    high: float | None = None
    guess: Literal["right", "wrong", "zero"] | None = None
    repeats: bool = True
    says: str


class Dataset(Strict):
    """embedded: made offline by the task; classes: how many, for the chance level; train: samples; pixels: of an image's side."""

    embedded: bool
    classes: int | None = Field(None, ge=2)
    train: int = Field(ge=1)
    pixels: int | None = Field(None, ge=1)
    says: str


class Requirement(Strict):
    """A framework that may be absent: the module that a task imports and the command that installs it."""

    module: str
    install: str


class Resources(Strict):
    """What one run takes of a cluster. cpus and mem_mb: for each GPU. runtime_minutes: the time limit of a job that holds it.

    gpus: of all nodes together; a tier may afford fewer. alone: why a run takes no more than one, in words.
    """

    gpus: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1)
    cpus: int = Field(8, ge=1)
    mem_mb: int = Field(32_000, ge=500)
    runtime_minutes: int = Field(1440, ge=1)
    alone: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Resources":
        if self.gpus % self.nodes:
            raise ValueError(f"gpus: {self.gpus} cannot be shared evenly by {self.nodes} nodes")
        return self


class Predictor(Strict):
    """Metrics that tell whether untrained networks say what will train: `accuracy` whether it did, `speed` how fast.

    properties: {column: metric of the untrained network}; a column log10_... takes the logarithm of what spans decades.
    """

    accuracy: str
    speed: str
    properties: dict[str, str] = Field(min_length=1)


class Task(Strict):
    """tasks/<task>/task.yaml. resources: of a run on a dataset, where it wants GPUs.

    datasets_from: {task: [names]}, datasets that another task declares, makes and checks. recipe_fields: what the fields of the task's
    own recipes mean. predictor: where the task's runs are asked whether untrained networks tell what trains.
    """

    task: str
    title: str
    headline: str
    metrics: dict[str, Metric]
    datasets: dict[str, Dataset]
    models: dict[str, dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    requires: Requirement | None = None
    resources: dict[str, Resources] = {}
    datasets_from: dict[str, list[str]] = {}
    recipe_fields: RecipeFields = RecipeFields()
    predictor: Predictor | None = None

    @model_validator(mode="after")
    def _metrics(self) -> "Task":
        asked = self.predictor and {"accuracy": self.predictor.accuracy, "speed": self.predictor.speed, **self.predictor.properties}
        for key, metric in (asked or {}).items():
            if metric not in self.metrics:
                raise unknown(f"tasks/{self.task}/task.yaml: predictor: {key}", "metric of the task", metric, self.metrics)
        return self


def task_names(folder: Path = TASKS) -> list[str]:
    """The tasks that exist: folders with a task.yaml."""
    return sorted(p.parent.name for p in folder.glob("*/task.yaml"))


@cache
def read_task(name: str, folder: Path = TASKS) -> Task:
    """tasks/<name>/task.yaml, checked, with the datasets that it borrows; an unknown task is an InputError with the nearest name."""
    task = _declared(name, folder)
    if not task.datasets_from:
        return task
    datasets = dict(task.datasets)
    for owner, borrowed in task.datasets_from.items():
        if owner not in task_names(folder):
            raise unknown(f"tasks/{name}/task.yaml: datasets_from", "task", owner, task_names(folder))
        theirs = _declared(owner, folder).datasets
        for dataset in borrowed:
            if dataset not in theirs:
                raise unknown(f"tasks/{name}/task.yaml: datasets_from.{owner}", f"dataset of the task {owner}", dataset, theirs)
            if dataset in datasets:
                raise InputError(f"tasks/{name}/task.yaml: datasets_from.{owner}: {dataset!r} is there already; keep one of the two")
            datasets[dataset] = theirs[dataset]
    return task.model_copy(update={"datasets": datasets})


@cache
def _declared(name: str, folder: Path = TASKS) -> Task:
    """What the task's own file says."""
    path = folder / name / "task.yaml"
    if not path.is_file():
        raise unknown("tasks/", "task", name, task_names(folder))
    return read(Task, path)


@cache
def owner_of(dataset: str, folder: Path = TASKS) -> str:
    """The task that makes or checks a dataset: the one that declares it. Two that do are an InputError; the second should borrow."""
    declared = {name: _declared(name, folder).datasets for name in task_names(folder)}
    owners = [name for name, datasets in declared.items() if dataset in datasets]
    if not owners:
        raise unknown("tasks/", "dataset", dataset, {d for datasets in declared.values() for d in datasets})
    if len(owners) > 1:
        first, second = owners[:2]
        raise InputError(
            f"tasks/{second}/task.yaml: datasets: {dataset!r} stands in tasks/{first}/task.yaml too, and one task makes it; "
            f"datasets_from: {{{first}: [{dataset}]}} borrows it, and another name tells it apart"
        )
    return owners[0]


@cache
def absence(name: str) -> str:
    """Why nothing of a task can run here, in words; "" where it can."""
    if name not in task_names():
        return f"needs task {name}"
    needed = read_task(name).requires
    if needed is None or importlib.util.find_spec(needed.module):
        return ""
    return f"{needed.module} is not installed; {needed.install}"


@cache
def recipe_schema(name: str) -> type[Strict]:
    """What a recipe of the task may say: tasks/<name>/recipe.py's Recipe, and the shared one where there is none."""
    read_task(name)
    return _module(name, "recipe").Recipe if (TASKS / name / "recipe.py").is_file() else Recipe


@cache
def recipe_check(name: str) -> Callable[[Any], None] | None:
    """tasks/<name>/recipe.py's check_recipe(arm), where there is one: raises InputError, one sentence that starts with the recipe's key,
    where a recipe names something that the arm's dataset or model has not.
    """
    return getattr(_module(name, "recipe"), "check_recipe", None) if (TASKS / name / "recipe.py").is_file() else None


@cache
def recipe_fields(name: str) -> RecipeFields:
    """What the fields of the task's recipes mean; a field that does not exist is an InputError."""
    fields = read_task(name).recipe_fields
    fields.check(f"tasks/{name}/task.yaml", recipe_schema(name).model_fields)
    return fields


def work_of(name: str) -> Callable | None:
    """tasks/<name>/work.py's work(arm, dataset) -> (weight layers, multiply-adds of a step's forward pass, steps), where there is one."""
    return _module(name, "work").work if (TASKS / name / "work.py").is_file() else None


def load_preparer(name: str) -> Callable[[str, Path], str]:
    """The task's prepare(dataset, root) -> hash: of its prepare.py, which may do without its framework, or else of its adapter."""
    read_task(name)
    return _module(name, "prepare" if (TASKS / name / "prepare.py").is_file() else "adapter").prepare


def load_adapter(name: str) -> ModuleType:
    """The module tasks/<name>/adapter.py."""
    read_task(name)
    return _module(name, "adapter")


def _module(task: str, part: str) -> ModuleType:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"tasks.{task}.{part}")
