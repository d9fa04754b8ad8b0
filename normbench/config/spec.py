"""What a run is, and its identity: a readable head and a hash of all that determines the result. Torch-free."""

import ast
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from normbench.config.method_files import method_path
from normbench.config.tasks import task_folder
from normbench.core.schema import PACKAGE


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
        return f"{self.arm.id}-s{self.seed}"


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


@cache
def code_digest(*paths: Path) -> str:
    """A hash of what Python files compute: their syntax without comments, layout and docstrings.

    Results depend on the code that made them; a comment must not make all trainings run again.
    """
    trees = [_without_docstrings(ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(paths)]
    return hashlib.sha256("\n".join(ast.dump(tree) for tree in trees).encode()).hexdigest()


def code_of_run(task: str, method: str) -> dict[str, str]:
    """The hashes of the code that a run depends on: the method's, the task's and the library's."""
    task_code, library = _shared_code(PACKAGE, task_folder(task))
    return {"method": code_digest(method_path(method)), "task": task_code, "library": library}


@cache
def _shared_code(package: Path, folder: Path) -> tuple[str, str]:
    """(the task's hash, the library's): what all methods share."""
    own = (path for path in folder.rglob("*.py") if path.name != "work.py")  # which only plans
    library = (package / name for name in TRAINING_CODE)
    return code_digest(*own), code_digest(*library, *(package / "models").glob("*.py"))


# The library's files that decide a run's numbers; the others only plan, collect and show.
TRAINING_CODE = (
    *("config/recipe.py", "diagnostics/jacobian.py", "diagnostics/probes.py", "diagnostics/propagation.py", "diagnostics/similarity.py"),
    *(f"hooks/{name}.py" for name in ("builder", "methods", "norms", "reparametrization", "residual", "sites")),
    *(
        f"training/{n}.py"
        for n in ("checkpoint", "classification", "distributed", "loop", "optimizer", "precision", "weight_norms", "window")
    ),
)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
    return tree
