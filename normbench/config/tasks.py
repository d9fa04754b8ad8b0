"""Tasks are folders, tasks/<task>/ or one elsewhere (search_paths): task.yaml says what a task measures and how; adapter.py does it.

Wherever its folder lies, a task's modules are tasks.<task>.<part>.
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

from normbench.config import adapter_file
from normbench.config.fidelity import Tier
from normbench.config.recipe import Recipe
from normbench.config.search_paths import find, folders, readable
from normbench.config.tier_settings import TaskTier
from normbench.core.errors import InputError
from normbench.core.schema import ROOT, Strict, read, shown

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


class Task(Strict):
    """<task>/task.yaml. resources: of a run on a dataset, where it wants GPUs. tiers: what a tier affords that does not know the task."""

    task: str
    title: str
    headline: str
    metrics: dict[str, Metric]
    datasets: dict[str, Dataset]
    models: dict[str, dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    requires: Requirement | None = None
    resources: dict[str, Resources] = {}
    tiers: dict[Tier, TaskTier] = {}


def task_names() -> list[str]:
    """The tasks that exist: folders with a task.yaml."""
    return sorted({file.parent.name for place in folders("tasks") for file in place.glob("*/task.yaml")})


def task_folder(name: str) -> Path:
    """The folder of a task. InputError with the nearest name where there is none, and with both where the name is taken twice."""
    return _task_folder(name, folders("tasks"))


@cache
def _task_folder(name: str, places: tuple[Path, ...]) -> Path:
    # A folder of shared code would hide a task of its name, or be hidden by it.
    files = [place / name / "task.yaml" for place in places]
    taken = [file if file.is_file() else file.parent for file in files if file.is_file() or any(file.parent.glob("*.py"))]
    folder = find("task", name, taken if any(map(Path.is_file, files)) else [], places, task_names)
    return folder.parent if folder.is_file() else folder


def task_file(name: str) -> str:
    """A task's task.yaml, as messages name it."""
    return shown(task_folder(name) / "task.yaml")


def read_task(name: str) -> Task:
    """A task's task.yaml, checked; an unknown task is an InputError with the nearest name."""
    return _read_task(task_folder(name))


@cache
def _read_task(folder: Path) -> Task:
    task = read(Task, folder / "task.yaml")
    if task.task != folder.name:
        raise InputError(f"{shown(folder / 'task.yaml')}: task is {task.task!r}; it must be the folder's name, {folder.name!r}")
    return task


def check_task(name: str) -> None:
    """What planning does not see of a task: whether its adapter is Python and has the hooks. Runs nothing; raises InputError."""
    read_task(name)
    adapter_file.check_source(task_folder(name))


def readable_tasks() -> list[str]:
    """The tasks whose task.yaml can be read; of each other one there is a warning."""
    return list(readable(task_names(), read_task))


def task_tier(name: str, tier: str) -> TaskTier:
    """What the task itself says that a tier affords."""
    return _task_tier(name, tier, folders("tasks"))


@cache
def _task_tier(name: str, tier: str, places: tuple[Path, ...]) -> TaskTier:
    here = any((place / name / "task.yaml").is_file() for place in places)
    return read_task(name).tiers.get(tier, TaskTier()) if here else TaskTier()


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
    """What a recipe of the task may say: its recipe.py's Recipe, and the shared one where there is none."""
    return _part(name, "recipe").Recipe if _has(name, "recipe") else Recipe


def work_of(name: str) -> Callable | None:
    """The task's work.py's work(arm, dataset) -> (weight layers, multiply-adds of a step's forward pass, steps), where there is one."""
    return _part(name, "work").work if _has(name, "work") else None


def load_preparer(name: str) -> Callable[[str, Path], str]:
    """The task's prepare(dataset, root) -> hash: of its prepare.py, which may do without its framework, or else of its adapter."""
    part = "prepare" if _has(name, "prepare") else "adapter"
    return adapter_file.hook(_part(name, part), "prepare", shown(task_folder(name) / f"{part}.py"))


def load_adapter(name: str) -> ModuleType:
    """The module <task>/adapter.py, whose hooks are checked. InputError with the file where one is missing or takes other arguments."""
    check_task(name)
    adapter = _part(name, "adapter")
    for hook in adapter_file.HOOKS:
        if hook != "prepare" or not _has(name, "prepare"):
            adapter_file.hook(adapter, hook, shown(task_folder(name) / "adapter.py"))
    return adapter


def _has(task: str, part: str) -> bool:
    return (task_folder(task) / f"{part}.py").is_file()


def _part(task: str, part: str) -> ModuleType:
    """A task's module; whatever is wrong with it while it is imported is one sentence."""
    folder = task_folder(task)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    package = importlib.import_module("tasks")
    if str(folder.parent) not in package.__path__:
        package.__path__.append(str(folder.parent))
        importlib.invalidate_caches()
    try:
        return importlib.import_module(f"tasks.{task}.{part}")
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise InputError(f"{shown(folder / f'{part}.py')}: {type(error).__name__} while it was imported: {said}") from error
