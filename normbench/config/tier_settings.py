"""What a tier affords: the settings that a tier's file, a task's task.yaml and a paper's YAML write alike, and which of them wins."""

from typing import Any, TypeVar

from pydantic import Field, model_validator

from normbench.core.schema import Strict

BUDGET = {"epochs", "steps"}


class TaskTier(Strict):
    """What a tier affords of one task: a dataset for a dataset, arguments for a model, fields for a recipe, params for a method.

    A model or recipe that stays as it is has {}, a user's dataset its own name. seeds: where other ones than the tier's are affordable.
    """

    seeds: list[int] = []
    datasets: dict[str, str] = {}
    models: dict[str, dict[str, Any]] = {}
    recipes: dict[str, dict[str, Any]] = {}
    params: dict[str, dict[str, Any]] = {}


class Override(Strict):
    """What a tier says of single arms, by name or pattern: it wins over everything else."""

    dataset: str | None = None
    set: dict[str, Any] = {}
    params: dict[str, Any] = {}
    model: dict[str, Any] = {}
    over: dict[str, list[Any]] = {}


class PaperTier(Strict):
    """What a tier affords of one paper: as tasks and arms.<paper> in the tier's file, which wins where both say something."""

    tasks: dict[str, TaskTier] = {}
    arms: dict[str, Override] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_seeds(self) -> "PaperTier":
        for task, at in self.tasks.items():
            if at.seeds:
                raise ValueError(
                    f"a paper has no seeds of its own, for papers share runs; those of the task {task} belong into its task.yaml"
                )
        return self


Settings = TypeVar("Settings", TaskTier, Override)


def merged(below: Settings, above: Settings) -> Settings:
    """Two of a kind, of which the second wins, by single arguments and fields."""
    result: dict[str, Any] = {}
    for name in type(below).model_fields:
        low, high = getattr(below, name), getattr(above, name)
        if not isinstance(low, dict):
            result[name] = high or low
        elif isinstance(below, TaskTier) and name != "datasets":
            result[name] = {key: replaced(low.get(key, {}), high.get(key, {})) for key in {**low, **high}}
        else:
            result[name] = replaced(low, high)
    return type(below)(**result)


def replaced(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """low with high's values. A whole model replaces a model, and a budget one in the other unit."""
    if "family" in high:
        return dict(high)
    gone = BUDGET if BUDGET & set(high) else set()
    return {**{key: value for key, value in low.items() if key not in gone}, **high}
