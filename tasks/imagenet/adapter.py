"""The imagenet task: builds the model with the method, feeds the dataset, trains by the recipe, measures.

This is the only code of the suite that knows image folders, CIFAR and the digits.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.config.spec import ArmSpec
from normbench.diagnostics.watch import Watch
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands
from normbench.models import build_model
from normbench.training.classification import evaluate, mixer, run_metrics
from normbench.training.loop import Trained, Training, fit
from tasks.imagenet import data

EVAL_BATCH = 512
PROBE_BATCH = 64


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    return refusal(lambda: _model(arm))


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Train one run and measure it."""
    recipe = Recipe(**arm.recipe)
    torch.manual_seed(seed)
    try:
        model = _model(arm)
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model = model.to(context.device, memory_format=layout)
    folder = context.data / arm.dataset
    shared = {"batch_size": recipe.batch_size, "seed": seed, "augment": recipe.augment, "device": context.device}
    ours = {"rank": context.rank, "world_size": context.world_size}

    def batches(start: int) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(data.train_batches(arm.dataset, folder, start_step=start, **shared, **ours))

    held_out = data.eval_batches(arm.dataset, folder, batch_size=EVAL_BATCH, device=context.device, **ours)
    epoch_steps = data.train_batches(arm.dataset, folder, **shared).steps_per_epoch
    steps = recipe.total_steps(epoch_steps)
    # What is measured and calibrated is not to depend on how many processes there are: each sees all of it.
    whole = iter(data.train_batches(arm.dataset, folder, **shared))
    model.method.calibrate(model, model.sites, model.method_params, _first_batches(whole, recipe.calibration_batches))
    every = data.eval_batches(arm.dataset, folder, batch_size=EVAL_BATCH, device=context.device) if context.world_size > 1 else held_out
    probe_batch, probe_labels = (t[:PROBE_BATCH] for t in next(iter(every)))
    watch = Watch(model, probe_batch, probe_labels, ends=True)
    trained = fit(
        Training(
            model=model,
            recipe=recipe,
            device=context.device,
            total_steps=steps,
            epoch_steps=epoch_steps,
            batches=batches,
            evaluate=lambda network: evaluate(network, held_out),
            mix=mixer(recipe, seed),
            checkpoints=context.checkpoints,
            progress=context.progress,
            norms=context.norms,
            **ours,
        )
    )
    if trained.status == "finished":
        watch.after()
    metrics = {**watch.metrics, **run_metrics(trained, steps)}
    return Result(trained, metrics, watch.probes, what_stands(model.sites), count_parameters(model), data.data_sha256(arm.dataset, folder))


def _model(arm: ArmSpec) -> torch.nn.Module:
    method = load_method(arm.method)
    recipe = arm.recipe
    model: dict[str, Any] = {**arm.model, **{key: recipe[key] for key in ("drop_fc", "drop_conv") if recipe[key]}}
    return build_model(
        model, method, method.params(**arm.params), num_classes=data.num_classes(arm.dataset), in_shape=data.in_shape(arm.dataset)
    )


def _first_batches(batches: Iterator[tuple[Tensor, Tensor]], count: int) -> list[Tensor]:
    return [x for x, _ in itertools.islice(batches, count)]
