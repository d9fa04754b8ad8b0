"""The contract between a job and a task's adapter: what an adapter does, and what the two exchange.

tasks/README.md shows a task's folder around it, docs/template_task a complete one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from normbench.config.spec import ArmSpec
from normbench.training.checkpoint import Checkpoints
from normbench.training.loop import Trained
from normbench.training.weight_norms import Norms


@dataclass
class Context:
    """Where a run happens: device, the folder of datasets, checkpoints, recorded norms, who is told of progress, where a picture goes.

    rank, world_size: this process among those that train the run together, each on its share of every batch.
    """

    device: torch.device
    data: Path
    checkpoints: Checkpoints | None = None
    norms: Norms | None = None
    progress: Callable[[int, int, float], None] | None = None
    picture: Path | None = None
    rank: int = 0
    world_size: int = 1


@dataclass
class Result:
    """What an adapter's run() returns; the job makes the record of it.

    engine: the framework that trained, with its version, where that is not torch alone. notes: words that belong to
    the numbers, as a metric's signature.
    """

    trained: Trained
    metrics: dict[str, float] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)
    sites: list[dict[str, Any]] = field(default_factory=list)
    n_parameters: int = 0
    data_sha256: str = ""
    engine: str = ""
    notes: dict[str, str] = field(default_factory=dict)


class Adapter(Protocol):
    """What <task>/adapter.py is: a module with these three functions, whose arguments have these names.

    Beside it may lie recipe.py, work.py and prepare.py. recipe.py has a class Recipe of normbench.core.schema.Strict, for recipes with
    other fields than normbench.config.recipe.Recipe. work.py has work(arm, dataset) -> normbench.config.cost_model.Work, for runs whose
    time is not that of image classification. prepare.py has `prepare` in the adapter's stead. None of the three imports torch at its
    top: planning reads the first two, and preparing should need no framework.
    """

    def prepare(self, dataset: str, root: Path) -> str:
        """Make an embedded dataset, or check one of the user's, in the folder root / dataset; returns the SHA-256 of its content.

        dataset: a name of task.yaml's `datasets`. root: the folder of all datasets (`--config data=`). Called again where it was made
        already: that must change nothing and cost little. Raises InputError, one sentence with the path and what would do, where the
        user's data is missing or broken.
        """

    def check(self, arm: ArmSpec) -> str | None:
        """Whether the run can be built, tried without memory before anything trains; None where it can.

        arm: the run but for its seed, as the tier has it. Returns the sentence with which the method refuses this model (its runs
        are then recorded as refused; normbench.hooks.builder.refusal makes it). Raises InputError for a mistake in model, params or
        recipe, which stops the workflow.
        """

    def run(self, arm: ArmSpec, seed: int, context: Context) -> Result:
        """Train and measure one run; equal arguments give equal numbers.

        Everything random comes from `seed`. The model lives on context.device; datasets lie in context.data / arm.dataset. What the
        task's `metrics` promise goes into Result.metrics where the run finished. A run that diverged, or that the method refused, is a
        Result too: Trained(status="diverged", step=..., cause=...) or Trained(status="refused", cause=...). normbench.training.loop.fit
        does checkpoints, divergence, several processes and the curves. Raises InputError for what the user can mend.
        """
