"""results/golden/<task>.json: short runs and what they came to when they were written, with the versions of that day. Torch-free.

They lie beside the results because they answer a question about those: would this machine, with these versions and this code,
have had the same numbers? A run is kept in full, so that a change of the tiers does not change what is compared.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normbench.config.code_hash import changed_files
from normbench.config.spec import ArmSpec, arm_from
from normbench.config.tasks import task_names
from normbench.core.errors import InputError
from normbench.core.files import read_json, write_json
from normbench.core.schema import ROOT, Strict, validated

FOLDER = ROOT / "results" / "golden"
STEPS = 20  # that are compared of a training


class GoldenRun(Strict):
    """losses: the training loss at steps 1, 2, ...; values: the metrics, where nothing is trained. code: the method's hash."""

    run: str
    spec: dict[str, Any]
    seed: int
    code: str
    losses: list[float] = []
    values: dict[str, float] = {}

    @property
    def arm(self) -> ArmSpec:
        return arm_from(self.spec)


class Golden(Strict):
    """tolerance: relative, of a loss or a value. versions: what computed them. code: the task's hash; files: those of its files.

    steady: the steps that are held to the tolerance. Behind them, where a task makes choices out of what it computed (a detector
    takes the best of its boxes), a last digit becomes per cents, and only `loose` holds.
    """

    task: str
    tolerance: float
    steady: int = STEPS
    loose: float = 0.3
    versions: dict[str, str]
    code: str
    files: dict[str, str] = {}
    runs: list[GoldenRun]


def golden_tasks(folder: Path = FOLDER) -> list[str]:
    return [path.stem for path in sorted(folder.glob("*.json"))]


def golden_datasets(folder: Path = FOLDER) -> list[str]:
    """What must be there before the golden runs can be made."""
    return sorted({run.spec["dataset"] for task in golden_tasks(folder) for run in read_golden(task, folder).runs})


def read_golden(task: str, folder: Path = FOLDER) -> Golden:
    path = folder / f"{task}.json"
    try:
        golden = validated(Golden, read_json(path, "git has it"), str(path))
    except TypeError as error:
        raise InputError(f"{path}: is broken ({error})") from error
    if task not in task_names() or golden.task != task:
        raise InputError(f"{path}: holds runs of the task {golden.task!r}, and there is none of that name and file")
    return golden


def write_golden(golden: Golden, folder: Path = FOLDER) -> None:
    write_json(folder / f"{golden.task}.json", golden.model_dump())


def drift(was: Golden, now: Golden) -> Iterator[str]:
    """A sentence for each run that left the tolerance: what changed around it, and where it left first."""
    for old, new in zip(was.runs, now.runs, strict=True):
        where = next(_left(old, new, was), None)
        if where:
            yield f"{', '.join([*changes(was, now, old, new)]) or 'equal versions and code'}: {old.run}: {where}"


def changes(was: Golden, now: Golden, old: GoldenRun, new: GoldenRun) -> Iterator[str]:
    """What is another now than when a run was written: versions, then code."""
    for name in dict.fromkeys([*was.versions, *now.versions]):
        a, b = was.versions.get(name, "none"), now.versions.get(name, "none")
        if a != b:
            yield f"{name} {a} -> {b}"
    if old.code != new.code:
        yield f"methods/{old.spec['method']}.py or what it imports changed"
    if was.code != now.code:
        yield f"{', '.join(changed_files(was.files, now.files)) or f'what tasks/{was.task} imports'} changed"


def _left(old: GoldenRun, new: GoldenRun, was: Golden) -> Iterator[str]:
    for step, (a, b) in enumerate(zip(old.losses, new.losses, strict=False), 1):
        if not _near(a, b, was.tolerance if step <= was.steady else was.loose):
            yield f"loss at step {step} was {a:.6g}, is {b:.6g}"
    if len(old.losses) != len(new.losses):
        yield f"had {len(old.losses)} steps, and has {len(new.losses)}"
    for name in dict.fromkeys([*old.values, *new.values]):
        a, b = old.values.get(name), new.values.get(name)
        if a is None or b is None:
            yield f"{name} was {_text(a)}, is {_text(b)}"
        elif not _near(a, b, was.tolerance):
            yield f"{name} was {a:.6g}, is {b:.6g}"


def _near(a: float, b: float, tolerance: float) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance * 1e-3)


def _text(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.6g}"
