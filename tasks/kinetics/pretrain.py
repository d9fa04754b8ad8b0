"""2D weights for inflation: trains an arm of the imagenet task as it is planned, and keeps what the run throws away, its weights.

    python -m tasks.kinetics.pretrain --arm build/quick/arms/<arm>.json --seed 0 --data build/data --name <name>

Writes build/weights/<name>.pt, which a recipe of the kinetics task takes by `inflate: <name>`. Killed, it goes on from its
checkpoint beside that file.
"""

import argparse
import itertools
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from normbench import load_method
from normbench.config.code_hash import code_of_arm
from normbench.config.recipe import Recipe
from normbench.config.spec import ArmSpec, arm_from, digest
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import read_json, whole_file
from normbench.models import build_model
from normbench.training.checkpoint import Checkpoints
from normbench.training.classification import evaluate, mixer, run_metrics
from normbench.training.loop import Training, fit
from normbench.training.precision import set_arithmetic
from tasks.imagenet import data as images
from tasks.kinetics.weights import FOLDER, FORMAT

EVAL_BATCH = 256
CHECKPOINT_SECONDS = 300


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", type=Path, required=True, help="build/<tier>/arms/<arm>.json of the imagenet task")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder of datasets")
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    set_arithmetic(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", args.name):
        raise InputError(f"--name: {args.name!r} must consist of letters, digits, - and _")
    arm = arm_from(read_json(args.arm)["spec"])
    path = pretrain(arm, args.seed, args.data, args.name, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    print(path)


def pretrain(arm: ArmSpec, seed: int, root: Path, name: str, device: torch.device, folder: Path = FOLDER) -> Path:
    """Train one run of the imagenet task's `arm` and write its weights. Raises InputError where it is another task's or diverges."""
    if arm.task != "imagenet":
        raise InputError(f"{arm.id}: is an arm of the task {arm.task!r}; 2D weights come from one of 'imagenet'")
    recipe, data = Recipe(**arm.recipe), root / arm.dataset
    shared = {"batch_size": recipe.batch_size, "seed": seed, "augment": recipe.augment, "device": device}
    torch.manual_seed(seed)
    model = _model(arm, recipe).to(device, memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format)
    first = itertools.islice(iter(images.train_batches(arm.dataset, data, **shared)), recipe.calibration_batches)
    model.method.calibrate(model, model.sites, model.method_params, [x for x, _ in first])
    held_out = images.eval_batches(arm.dataset, data, batch_size=EVAL_BATCH, device=device)
    epoch_steps = images.train_batches(arm.dataset, data, **shared).steps_per_epoch
    steps = recipe.total_steps(epoch_steps)
    identity = digest({"spec": asdict(arm), "seed": seed, "code": code_of_arm(arm)})
    checkpoints = Checkpoints(folder / f".{name}.checkpoint", identity, CHECKPOINT_SECONDS)
    trained = fit(
        Training(
            model=model,
            recipe=recipe,
            device=device,
            total_steps=steps,
            epoch_steps=epoch_steps,
            batches=lambda start: iter(images.train_batches(arm.dataset, data, start_step=start, **shared)),
            evaluate=lambda network: evaluate(network, held_out),
            mix=mixer(recipe, seed),
            checkpoints=checkpoints,
        )
    )
    if trained.status != "finished":
        raise InputError(f"{arm.id}: diverged at step {trained.step} ({trained.cause}), so there are no weights to keep")
    kept: dict[str, Any] = {"format": FORMAT, "spec": asdict(arm), "seed": seed, "metrics": run_metrics(trained, steps)}
    kept |= {"data_sha256": images.data_sha256(arm.dataset, data), "model": model.state_dict()}
    with whole_file(folder / f"{name}.pt") as file:
        torch.save(kept, file)
    checkpoints.remove()
    return folder / f"{name}.pt"


def _model(arm: ArmSpec, recipe: Recipe) -> torch.nn.Module:
    method = load_method(arm.method)
    dropped = {key: getattr(recipe, key) for key in ("drop_fc", "drop_conv") if getattr(recipe, key)}
    classes, shape = images.num_classes(arm.dataset), images.in_shape(arm.dataset)
    return build_model({**arm.model, **dropped}, method, method.params(**arm.params), num_classes=classes, in_shape=shape)


if __name__ == "__main__":
    sys.exit(main())
