"""Do the golden runs still come to what they came to?  python -m normbench.execution.golden --data build/data [--task wmt]

Three short runs a task are made anew and compared with results/golden/<task>.json: first twenty losses, or the metrics of what
is not trained. A drift beyond the tolerance is printed with what changed since; exit code 1 if there is any.

    python -m normbench.execution.golden --data build/data --write    the same runs anew: after a change that is meant
    ... --write --task wmt --arms rescalenet/wmt_fixup norm_matters/translation_bounded    other runs: papers' arms at the tiny tier
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from normbench.config.code_hash import code_of_arm, files_of_task
from normbench.config.spec import ArmSpec, run_id
from normbench.config.tasks import load_adapter
from normbench.core.command import command
from normbench.core.errors import InputError, unknown
from normbench.execution.data_folder import without_colon
from normbench.execution.golden_files import FOLDER, STEPS, Golden, GoldenRun, drift, golden_tasks, read_golden, write_golden
from normbench.execution.task_api import Context
from normbench.planning.make import make_plan
from normbench.training.precision import set_arithmetic

TOLERANCE = 1e-4  # relative: without AVX, runs of all tasks but coco differ by less than a thirtieth of it
SLOWLY = 0.1  # of the tier's learning rate: at all of it, detection's choice among boxes makes per cents out of a last digit
SEED = 0


@command
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--task", action="append", help="only these tasks; otherwise every one that has golden runs")
    parser.add_argument("--write", action="store_true", help="write what they come to now, instead of comparing")
    parser.add_argument(
        "--arms", nargs="+", help="with --write and one --task: <paper>/<arm> of the tiny tier, instead of the runs in the file"
    )
    args = parser.parse_args()
    set_arithmetic(int(os.environ.get("OMP_NUM_THREADS", "1")))
    drifted = False
    if args.arms and not (args.write and args.task and len(args.task) == 1):
        raise InputError(f"--arms {' '.join(args.arms)}: choosing other golden runs takes --write and one --task")
    with without_colon(args.data) as data:
        for task in args.task or golden_tasks(args.folder):
            drifted |= one_task(task, data, args.folder, args.write, args.arms)
    return int(drifted)


def one_task(task: str, data: Path, folder: Path, write: bool, arms: list[str] | None) -> bool:
    """Compare a task's golden runs, or write them; whether any drifted."""
    if arms:
        now = made(task, [(spec, SEED) for spec in chosen(task, arms)], data)
        if task in golden_tasks(folder):
            now = held_as(read_golden(task, folder), now)
        write_golden(now, folder)
        print(f"{task}: written: {', '.join(run.run for run in now.runs)}")
        return False
    was = read_golden(task, folder)
    now = held_as(was, made(task, [(run.arm, run.seed) for run in was.runs], data))
    found = list(drift(was, now))
    for sentence in found:
        print(sentence, file=sys.stdout if write else sys.stderr)
    if write:
        write_golden(now, folder)
        print(f"{task}: written anew; " + (f"{len(found)} of {len(now.runs)} runs drifted" if found else "nothing had drifted"))
        return False
    if not found:
        print(f"{task}: {len(now.runs)} runs as they were, by {', '.join(f'{k} {v}' for k, v in now.versions.items())}")
    return bool(found)


def held_as(was: Golden, now: Golden) -> Golden:
    """`now`, as strictly held as the file says; a person decides that there."""
    return now.model_copy(update={key: getattr(was, key) for key in ("tolerance", "steady", "loose")})


def made(task: str, runs: Iterable[tuple[ArmSpec, int]], data: Path) -> Golden:
    """The runs, made here and now."""
    results, engine, code = [], "", {"task": ""}
    for spec, seed in runs:
        trained = load_adapter(task).run(spec, seed, Context(device=torch.device("cpu"), data=data))
        code = code_of_arm(spec)
        engine = trained.engine or engine
        losses = [value for _, value in trained.trained.curves.get("train_loss", [])][:STEPS]
        results.append(
            GoldenRun(
                run=run_id(spec.id, seed),
                spec=asdict(spec),
                seed=seed,
                code=code["method"],
                losses=[_rounded(value) for value in losses],
                values={} if losses else {name: _rounded(value) for name, value in sorted(trained.metrics.items())},
            )
        )
        if not losses and not trained.metrics:
            raise InputError(
                f"{spec.id}: has neither losses nor metrics ({trained.trained.cause or 'nothing was measured'}); choose another arm"
            )
    return Golden(task=task, tolerance=TOLERANCE, versions=versions(engine), code=code["task"], files=files_of_task(task), runs=results)


def versions(engine: str) -> dict[str, str]:
    """What computed the runs: torch, the task's own framework, numpy, and the kind of processor."""
    name, _, number = engine.partition(" ")
    framework = {name: number} if name not in ("", "torch") else {}
    return {"torch": torch.__version__, **framework, "numpy": version("numpy"), "processor": platform.machine()}


def chosen(task: str, arms: list[str]) -> list[ArmSpec]:
    """The arms at the tiny tier; those that are trained `STEPS` long and at a small rate."""
    plan = make_plan("tiny")
    known = {f"{paper}/{name}": plan.arms[points[0][1]] for (paper, name), points in plan.points.items()}
    known = {name: spec for name, spec in known.items() if spec.task == task and spec.source is None}
    for name in arms:
        if name not in known:
            raise unknown("--arms", f"arm of {task} at the tiny tier", name, known)
    return [_long(known[name]) for name in arms]


def _long(spec: ArmSpec) -> ArmSpec:
    recipe: dict[str, Any] = spec.recipe
    return replace(spec, recipe={**recipe, "steps": STEPS, "lr": recipe["lr"] * SLOWLY}) if recipe.get("measure") is None else spec


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


if __name__ == "__main__":
    sys.exit(main())
