"""What a job and a task's adapter exchange."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

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
