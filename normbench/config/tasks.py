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
from typing import Any

from normbench.config import adapter_file
from normbench.config.recipe import Recipe
from normbench.config.recipe_fields import RecipeFields
from normbench.config.search_paths import find, folders, readable
from normbench.config.task_schema import Dataset as Dataset
from normbench.config.task_schema import Metric as Metric
from normbench.config.task_schema import Predictor as Predictor
from normbench.config.task_schema import Resources as Resources
from normbench.config.task_schema import Task as Task
from normbench.config.tier_settings import TaskTier
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read, shown

TASKS = ROOT / "tasks"


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
    """A task's task.yaml, checked, with the datasets that it borrows; an unknown task is an InputError with the nearest name."""
    return _with_borrowed(task_folder(name), folders("tasks"))


@cache
def _with_borrowed(folder: Path, places: tuple[Path, ...]) -> Task:
    task = _declared(folder)
    datasets = dict(task.datasets)
    for owner, borrowed in task.datasets_from.items():
        place = f"{shown(folder / 'task.yaml')}: datasets_from"
        if owner not in task_names():
            raise unknown(place, "task", owner, task_names())
        theirs = _declared(task_folder(owner)).datasets
        for dataset in borrowed:
            if dataset not in theirs:
                raise unknown(f"{place}.{owner}", f"dataset of the task {owner}", dataset, theirs)
            if dataset in datasets:
                raise InputError(f"{place}.{owner}: {dataset!r} is there already; keep one of the two")
            datasets[dataset] = theirs[dataset]
    return task.model_copy(update={"datasets": datasets}) if task.datasets_from else task


@cache
def _declared(folder: Path) -> Task:
    """What the task's own file says."""
    task = read(Task, folder / "task.yaml")
    if task.task != folder.name:
        raise InputError(f"{shown(folder / 'task.yaml')}: task is {task.task!r}; it must be the folder's name, {folder.name!r}")
    return task


def check_task(name: str) -> None:
    """What planning does not see of a task: whether its adapter is Python and has the hooks, and its datasets are its own.

    Runs nothing; raises InputError.
    """
    for dataset in _declared(task_folder(name)).datasets:
        if (owner := owner_of(dataset)) != name:
            raise _declared_twice(dataset, owner, name)
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


def owner_of(dataset: str) -> str:
    """The task that makes or checks a dataset: the one that declares it, ours before one from outside.

    Two alike that do are an InputError; the second should borrow.
    """
    return _owner_of(dataset, folders("tasks"))


@cache
def _owner_of(dataset: str, places: tuple[Path, ...]) -> str:
    declared = {name: _declared(task_folder(name)).datasets for name in readable_tasks()}
    owners = [name for name, datasets in declared.items() if dataset in datasets]
    if not owners:
        raise unknown("tasks/", "dataset", dataset, {d for datasets in declared.values() for d in datasets})
    ours = [name for name in owners if task_folder(name).parent == TASKS] or owners
    if len(ours) > 1:
        raise _declared_twice(dataset, *ours[:2])
    return ours[0]


def _declared_twice(dataset: str, first: str, second: str) -> InputError:
    return InputError(
        f"{task_file(second)}: datasets: {dataset!r} stands in {task_file(first)} too, and one task makes it; "
        f"datasets_from: {{{first}: [{dataset}]}} borrows it, and another name tells it apart"
    )


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


@cache
def recipe_check(name: str) -> Callable[[Any], None] | None:
    """The task's checks.py's check_recipe(arm), where there is one: raises InputError, one sentence that starts with the recipe's key,
    where a recipe names something that the arm's dataset or model has not.
    """
    return _part(name, "checks").check_recipe if _has(name, "checks") else None


def methods_of(spec: Any) -> list[str]:
    """The methods that the runs of an arm (an ArmSpec) load: its own, and those of the task's recipe.py's other_methods(arm)."""
    others = getattr(_part(spec.task, "recipe"), "other_methods", None) if _has(spec.task, "recipe") else None
    return list(dict.fromkeys([spec.method, *(others(spec) if others else ())]))


@cache
def recipe_fields(name: str) -> RecipeFields:
    """What the fields of the task's recipes mean; a field that does not exist is an InputError."""
    fields = read_task(name).recipe_fields
    fields.check(task_file(name), recipe_schema(name).model_fields)
    return fields


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
