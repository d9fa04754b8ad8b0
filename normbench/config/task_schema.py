"""What a task.yaml holds: metrics, datasets, models, recipes, resources, and what a tier affords of them. Torch-free."""

from typing import Any, Literal

from pydantic import Field, model_validator

from normbench.config.datasets import Dataset as Dataset
from normbench.config.fidelity import Tier
from normbench.config.recipe_fields import RecipeFields
from normbench.config.tier_settings import TaskTier
from normbench.core.errors import unknown
from normbench.core.schema import Strict


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
    """<task>/task.yaml. resources: of a run on a dataset, where it wants GPUs.

    datasets_from: {task: [names]}, datasets that another task declares, makes and checks. recipe_fields: what the fields of the task's
    own recipes mean. predictor: where the task's runs are asked whether untrained networks tell what trains.
    tiers: what a tier affords whose file does not know the task.
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
    tiers: dict[Tier, TaskTier] = {}

    @model_validator(mode="after")
    def _metrics(self) -> "Task":
        asked = self.predictor and {"accuracy": self.predictor.accuracy, "speed": self.predictor.speed, **self.predictor.properties}
        for key, metric in (asked or {}).items():
            if metric not in self.metrics:
                raise unknown(f"tasks/{self.task}/task.yaml: predictor: {key}", "metric of the task", metric, self.metrics)
        return self
