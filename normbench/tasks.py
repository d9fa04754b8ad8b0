"""Tasks are folders: tasks/<task>/task.yaml says what a task measures and how; adapter.py does it.

`read_task` and `recipe_schema` need no torch; `load_adapter` imports the task's framework.
"""

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import Field

from normbench.errors import unknown
from normbench.recipe import Recipe
from normbench.schema import ROOT, Strict, read

TASKS = ROOT / "tasks"


class Metric(Strict):
    """What a number means: unit, which direction is good, the range that it can lie in, one sentence.

    guess: whether it counts right or wrong answers, so that guessing reaches a known value.
    """

    unit: str
    direction: Literal["higher", "lower", "none"]
    low: float | None = None
    high: float | None = None
    guess: Literal["right", "wrong"] | None = None
    says: str


class Dataset(Strict):
    """embedded: made offline by the task; classes: how many, for the chance level; train: samples in training."""

    embedded: bool
    classes: int = Field(ge=2)
    train: int = Field(ge=1)
    pixels: int = Field(ge=1)
    says: str


class Task(Strict):
    """tasks/<task>/task.yaml."""

    task: str
    title: str
    headline: str
    metrics: dict[str, Metric]
    datasets: dict[str, Dataset]
    models: dict[str, dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    resources: dict[str, Any] = {}


def task_names(folder: Path = TASKS) -> list[str]:
    """The tasks that exist: folders with a task.yaml."""
    return sorted(p.parent.name for p in folder.glob("*/task.yaml"))


@cache
def read_task(name: str, folder: Path = TASKS) -> Task:
    """tasks/<name>/task.yaml, checked; an unknown task is an InputError with the nearest name."""
    path = folder / name / "task.yaml"
    if not path.is_file():
        raise unknown("tasks/", "task", name, task_names(folder))
    return read(Task, path)


@cache
def recipe_schema(name: str) -> type[Strict]:
    """What a recipe of the task may say: tasks/<name>/recipe.py's Recipe, and the shared one where there is none."""
    read_task(name)
    return _module(name, "recipe").Recipe if (TASKS / name / "recipe.py").is_file() else Recipe


def load_adapter(name: str) -> ModuleType:
    """The module tasks/<name>/adapter.py."""
    read_task(name)
    return _module(name, "adapter")


def _module(task: str, part: str) -> ModuleType:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"tasks.{task}.{part}")
