"""Tiers: what fidelity is affordable. A tier maps a paper's arm to a run; the rules are the same at every tier.

Later wins. Of a recipe: the task's, the arm's own settings, the tier's for this recipe (a budget, and a rate
for it), the tier's for this arm, a sweep's. Of a model or method: the task's, the tier's for it, the arm's
own arguments, the tier's for this arm, a sweep's. A tier that replaces a recipe's field has to name the arms that exist to vary it.

Nothing keeps the paper's scale unsaid: below the tier `paper`, every recipe, model and user's dataset of an arm must stand in the
tier's file, as it is ({}, or the dataset itself) or replaced. What a tier says of a task stands in workflows/tiers/<tier>.yaml, below it
under `tiers` in the paper's YAML, below that in task.yaml.
"""

import itertools
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from normbench.config.cost_model import Machine
from normbench.config.method_files import MethodFile, check_params, read_method
from normbench.config.papers import TIERS, Arm, Paper, Tier, paper_file
from normbench.config.search_paths import folders
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Task, read_task, recipe_check, recipe_schema, task_tier
from normbench.config.tier_settings import Override, PaperTier, TaskTier, merged, replaced
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT, Strict, read, shown, validated

FOLDER = ROOT / "workflows" / "tiers"
FOLLOWING = ("correct_lr", "schedule")  # ways of norm_control that need recorded norms
GUEST = "@"  # between an arm's name and the method that takes the place of its own


class TierFile(Strict):
    """workflows/tiers/<tier>.yaml.

    job_seconds: runs are put together into one process until they are expected to take this long.
    checkpoint_seconds: how often a run can be resumed from.
    gpus: the most that one run may take, 0 where it trains on a CPU core. machine: how fast one is, for the expected time.
    """

    tier: Tier
    says: str
    seeds: list[int] = Field(min_length=1)
    job_seconds: float = Field(ge=0)
    checkpoint_seconds: float = Field(gt=0)
    gpus: int = Field(0, ge=0)
    machine: Machine
    tasks: dict[str, TaskTier] = {}
    arms: dict[str, dict[str, Override]] = {}
    _path: Path = PrivateAttr(FOLDER)

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    def seeds_of(self, task: str) -> list[int]:
        """The seeds that every arm of a task runs with."""
        own = self.tasks.get(task)
        return (own and own.seeds) or task_tier(task, self.tier).seeds or self.seeds

    def afforded(self, task: str) -> TaskTier:
        """What the tier affords of a task: what this file says of it, on top of what the task says itself."""
        return merged(task_tier(task, self.tier), self.tasks.get(task, TaskTier()))


@cache
def read_tier(name: str, folder: Path = FOLDER) -> TierFile:
    """workflows/tiers/<name>.yaml, checked."""
    if not (folder / f"{name}.yaml").is_file():
        raise unknown("config: tier", "tier", name, [tier for tier in TIERS if (folder / f"{tier}.yaml").is_file()])
    return read_tier_file(folder / f"{name}.yaml")


@cache
def read_tier_file(path: Path) -> TierFile:
    """A tier's file, wherever it lies, checked."""
    tier = read(TierFile, path)
    tier._path = path
    for place, seeds in (("seeds", tier.seeds), *((f"tasks.{task}.seeds", at.seeds) for task, at in tier.tasks.items())):
        if len(set(seeds)) != len(seeds):
            raise InputError(f"{shown(path)}: {place}: {seeds} names one seed twice")
    return tier


def of_paper(tier: TierFile, paper: Paper) -> TierFile:
    """The tier for a paper's arms: its file, on top of what the paper says of it, on top of what its arms' tasks do."""
    own, theirs = paper.tiers.get(tier.tier, PaperTier()), tier.arms.get(paper.key, {})
    tasks = {}
    for task in {arm.task for arm in paper.arms.values()}:
        low = merged(task_tier(task, tier.tier), own.tasks.get(task, TaskTier()))
        tasks[task] = merged(low, tier.tasks.get(task, TaskTier()))
    arms = {pattern: merged(own.arms.get(pattern, Override()), theirs.get(pattern, Override())) for pattern in {**own.arms, **theirs}}
    return tier.model_copy(update={"tasks": tasks, "arms": {paper.key: arms}})


def check_overrides(tier: TierFile, paper: str, arms: dict[str, Arm]) -> None:
    """A pattern in the tier's file that matches no arm of the paper is a mistake."""
    for pattern in tier.arms.get(paper, {}):
        if not any(fnmatchcase(name, pattern) for name in arms):
            raise unknown(f"workflows/tiers/{tier.tier}.yaml: arms.{paper}", "arm", pattern, arms)


def points(paper: str, name: str, arm: Arm, tier: TierFile, task: Task | None = None) -> list[tuple[dict[str, Any], ArmSpec]]:
    """The runs of an arm at a tier, of_paper: [(swept values, spec), ...], one entry with {} where nothing is swept.

    task: the arm's, with what its paper brings (Paper.task_of); None: as its folder has it.
    A guest (arm@method) gets what the tier says of the arm whose place it takes, but for what is about that arm's method.
    """
    host, _, guest = name.partition(GUEST)
    override = _override(tier, paper, host)
    if guest:
        override = override.model_copy(update={"params": {}})
    over = {**arm.over, **override.over}
    swept = {key: values for key, values in over.items() if values and not (guest and key.startswith("params."))}
    task = task or read_task(arm.task)
    result = []
    for values in itertools.product(*swept.values()):
        point = dict(zip(swept, values, strict=True))
        result.append((point, _spec(paper, name, arm, tier, task, override, point)))
    place = f"{paper_file(paper)}: arms.{name}"
    _check_listed(place, arm, tier, task, override)
    for _, spec in result:
        _check_recipe(f"{place}: recipe", arm, spec)
    return result


def _override(tier: TierFile, paper: str, name: str) -> Override:
    merged: dict[str, dict] = {"set": {}, "params": {}, "model": {}, "over": {}}
    dataset = None
    for pattern, override in tier.arms.get(paper, {}).items():
        if fnmatchcase(name, pattern):
            dataset = override.dataset or dataset
            for part, values in merged.items():
                values.update(getattr(override, part))
    return Override(dataset=dataset, **merged)


def _check_listed(place: str, arm: Arm, tier: TierFile, task: Task, override: Override) -> None:
    """Below the tier `paper` nothing runs at the paper's scale but what the tier's file says so of."""
    if tier.tier == "paper":
        return
    at, file = tier.tasks.get(arm.task, TaskTier()), f"workflows/tiers/{tier.tier}.yaml: tasks.{arm.task}"
    model = arm.model if isinstance(arm.model, str) else arm.model.get("use")
    for what, name, listed in (("recipe", arm.recipe, at.recipes), ("model", model, at.models)):
        if name is not None and name not in listed:
            raise InputError(
                f"{file}.{what}s: the {what} {name!r} of {place} is not listed and would run at the paper's scale; "
                f"add {name}: {{what to replace}}, or {name}: {{}} to keep it as it is, "
                f"here or under tiers.{tier.tier} of the paper's or the task's file"
            )
    users = task.datasets.get(arm.dataset)
    if users and not users.embedded and override.dataset is None and arm.dataset not in at.datasets:
        affordable = ", ".join(sorted(name for name, dataset in task.datasets.items() if dataset.embedded)) or "none"
        raise InputError(
            f"{file}.datasets: the dataset {arm.dataset!r} of {place} is not listed and would have to be the user's; add {arm.dataset}: "
            f"and what stands for it (embedded: {affordable}), or {arm.dataset}: {arm.dataset} to keep it"
        )


def _check_recipe(place: str, arm: Arm, spec: ArmSpec) -> None:
    """What a recipe asks for, the arm, its dataset and its model have."""
    if (control := spec.recipe.get("norm_control")) in FOLLOWING and arm.norms_from is None:
        raise InputError(f"{place}: norm_control: {control!r} follows the norms that another arm recorded; add norms_from: <that arm>")
    if check := recipe_check(arm.task):
        try:
            check(spec)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None


def _spec(paper: str, name: str, arm: Arm, tier: TierFile, task: Task, override: Override, point: dict[str, Any]) -> ArmSpec:
    place = f"{paper_file(paper)}: arms.{name}"
    at = tier.tasks.get(arm.task, TaskTier())
    swept: dict[str, dict[str, Any]] = {"set": {}, "params": {}, "model": {}}
    for key, value in point.items():
        part, _, field = key.rpartition(".")
        if part not in ("", "params", "model"):
            raise unknown(f"{place}: over", "part of an arm", part, ["params", "model"])
        swept[part or "set"][field] = value
    return ArmSpec(
        task=arm.task,
        dataset=_named(place, "dataset", override.dataset or at.datasets.get(arm.dataset, arm.dataset), task.datasets),
        model=_model(place, arm, task, at, override, swept["model"]),
        method=arm.method,
        params=_params(place, arm, at, override, swept["params"]),
        recipe=_recipe(place, arm, task, at, override, swept["set"]),
    )


def _model(place: str, arm: Arm, task: Task, at: TaskTier, override: Override, swept: dict) -> dict[str, Any]:
    given = {"use": arm.model} if isinstance(arm.model, str) else dict(arm.model)
    use = given.pop("use", None)
    if use is None:
        return {**given, **override.model, **swept}
    base, small = task.models[_named(f"{place}: model", "model", use, task.models)], at.models.get(use, {})
    base = small if "family" in small else {**base, **small}
    return {**base, **given, **override.model, **swept}


def _params(place: str, arm: Arm, at: TaskTier, override: Override, swept: dict) -> dict[str, Any]:
    file = _method_file(arm.method)
    return check_params(file, {**at.params.get(arm.method, {}), **arm.params, **override.params, **swept}, place)


def _recipe(place: str, arm: Arm, task: Task, at: TaskTier, override: Override, swept: dict) -> dict[str, Any]:
    base = task.recipes[_named(f"{place}: recipe", "recipe", arm.recipe, task.recipes)]
    fields: dict[str, Any] = {}
    for layer in (base, arm.set, at.recipes.get(arm.recipe, {}), override.set, swept):
        fields = replaced(fields, layer)
    return validated(recipe_schema(arm.task), fields, f"{place}: recipe").model_dump(mode="json")


def _method_file(name: str) -> MethodFile:
    return _method_file_in(folders("methods"), name)


@cache
def _method_file_in(_: tuple[Path, ...], name: str) -> MethodFile:
    """One planning reads each method's file once, however many arms name it."""
    return read_method(name)


def _named(place: str, what: str, name: str, known: dict) -> str:
    if name not in known:
        raise unknown(place, what, name, known)
    return name


def as_guest(arm: Arm, method: str) -> Arm:
    """The same arm with another method at its defaults."""
    return arm.model_copy(update={"method": method, "params": {}, "norms_from": None, "note": ""})


def with_norms_from(spec: ArmSpec, source: ArmSpec) -> ArmSpec:
    """`spec` using the weight norms that `source` recorded."""
    return replace(spec, source=source.id)
