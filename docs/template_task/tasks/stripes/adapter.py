"""The stripes task: builds a network with the method, trains it by the recipe, measures its accuracy.

normbench/execution/task_api.py says what `prepare`, `check` and `run` get, return and raise.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.config.spec import ArmSpec
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands
from normbench.models import build_model
from normbench.training.classification import evaluate, mixer
from normbench.training.loop import Trained, Training, fit
from tasks.stripes import data


def prepare(dataset: str, root: Path) -> str:
    """Draw the dataset; returns its hash."""
    return data.make(root / dataset)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    return refusal(lambda: _model(arm))


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Train one run and measure it."""
    recipe, folder = Recipe(**arm.recipe), context.data / arm.dataset
    torch.manual_seed(seed)
    try:
        model = _model(arm).to(context.device)
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    train, test = (data.split(folder, name, context.device) for name in ("train", "test"))

    def batches(start: int, rank: int = context.rank, world_size: int = context.world_size) -> Iterator[tuple[Tensor, Tensor]]:
        return data.batches(*train, recipe.batch_size, seed, start, rank, world_size)

    # Methods that calibrate see whole batches, whatever the number of processes.
    first = batches(0, rank=0, world_size=1)
    model.method.calibrate(model, model.sites, model.method_params, [next(first)[0] for _ in range(recipe.calibration_batches)])
    epoch_steps = data.TRAIN // recipe.batch_size
    share = tuple(part[context.rank :: context.world_size] for part in test)
    trained = fit(
        Training(
            model=model,
            recipe=recipe,
            device=context.device,
            total_steps=recipe.total_steps(epoch_steps),
            epoch_steps=epoch_steps,
            batches=batches,
            evaluate=lambda network: evaluate(network, [share]),
            mix=mixer(recipe, seed),
            checkpoints=context.checkpoints,
            progress=context.progress,
            norms=context.norms,
            rank=context.rank,
            world_size=context.world_size,
        )
    )
    finished = trained.status == "finished"
    metrics = {name: trained.curves[name][-1][1] for name in ("test_top1", "test_loss")} if finished else {}
    return Result(trained, metrics, [], what_stands(model.sites), count_parameters(model), data.data_sha256(folder))


def _model(arm: ArmSpec) -> nn.Module:
    method = load_method(arm.method)
    return build_model(arm.model, method, method.params(**arm.params), num_classes=data.CLASSES, in_shape=(1, data.SIDE, data.SIDE))
