"""What a run is, and its identity: a readable head and a hash of all that determines the result. Torch-free."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class ArmSpec:
    """A run but for its seed: fully determined after the tier is applied.

    It names no paper and no path, so that papers share runs. `source` is the id of the arm whose
    recorded weight norms this one uses, None for all others.
    """

    task: str
    dataset: str
    model: dict[str, Any]
    method: str
    params: dict[str, Any]
    recipe: dict[str, Any]
    source: str | None = None

    @cached_property
    def id(self) -> str:
        """e.g. digits-wide_resnet100-skipinit-3fa9c1d2e0"""
        return f"{self.dataset}-{model_label(self.model)}-{self.method}-{digest(asdict(self))[:10]}"

    def run(self, seed: int) -> "RunSpec":
        return RunSpec(self, seed)


@dataclass(frozen=True)
class RunSpec:
    """One run: an arm and its seed."""

    arm: ArmSpec
    seed: int

    @property
    def id(self) -> str:
        return run_id(self.arm.id, self.seed)


def run_id(arm: str, seed: int) -> str:
    """What the run of an arm's seed is called: in records, tables and MLflow."""
    return f"{arm}-s{seed}"


def arm_from(data: dict[str, Any]) -> ArmSpec:
    """The ArmSpec that `asdict` was taken of."""
    return ArmSpec(**data)


def model_label(model: dict[str, Any]) -> str:
    """resnet50, wide_resnet100-2, resnet3x2x2: the family and what tells its sizes apart at a glance."""
    if "layers" in model:
        return f"{model['family']}{'x'.join(map(str, model['layers']))}"
    return f"{model['family']}{model.get('depth', model.get('blocks', ''))}"


def canonical(data: Any) -> str:
    """JSON in which equal data has equal text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(data: Any) -> str:
    return hashlib.sha256(canonical(data).encode()).hexdigest()
