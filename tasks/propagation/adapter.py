"""The propagation task: builds a network, measures what it does to a batch before any training, and trains nothing."""

import copy
import itertools
from pathlib import Path

import torch
from torch import nn

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.diagnostics.jacobian import jacobian_norm
from normbench.diagnostics.propagation import measure
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands
from normbench.models import build_model
from normbench.training.loop import Trained
from tasks.propagation import data, exact
from tasks.propagation.recipe import LARGE, Recipe

CALIBRATION = 0  # the batch of a seed that methods calibrate on


def prepare(dataset: str, root: Path) -> str:
    """Noise needs no files."""
    (root / dataset).mkdir(parents=True, exist_ok=True)
    return data.data_sha256(dataset, root / dataset)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    return refusal(lambda: _built(arm))


def _built(arm: ArmSpec) -> nn.Module:
    """The model, with what is measured in it."""
    model = _model(arm)
    if arm.recipe["measure"] == "invariance":
        exact.pairs(model)
    return model


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Measure one network. What is not finite is a result: status diverged, at the block where it happens."""
    recipe = Recipe(**arm.recipe)
    torch.manual_seed(seed)
    try:
        model = _model(arm)
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    model = model.to(context.device)
    result = Result(Trained(step=0), sites=what_stands(model.sites), n_parameters=count_parameters(model))
    result.data_sha256 = data.data_sha256(arm.dataset, context.data / arm.dataset)
    {"signal": _signal, "invariance": _invariance, "trajectory": _trajectory}[recipe.measure](model, arm, recipe, seed, context, result)
    return result


def _signal(model: nn.Module, arm: ArmSpec, recipe: Recipe, seed: int, context: Context, result: Result) -> None:
    folder = context.data / arm.dataset
    apart = _calibrate(model, arm, recipe, seed, context)
    x, y = data.batch(arm.dataset, folder, recipe.batch_size, measured(recipe.batch_size), seed, context.device)
    signal = measure(model, x, y)
    result.probes, result.metrics = signal.rows, signal.metrics
    if signal.broken is not None:
        result.trained = Trained(status="diverged", step=signal.broken[0], cause=signal.broken[1])
        return
    if apart is not None:
        result.metrics["calibration_error"] = apart
    if recipe.power_iterations:
        result.metrics["jacobian_norm"] = jacobian_norm(model, x, recipe.power_iterations)


def _calibrate(model: nn.Module, arm: ArmSpec, recipe: Recipe, seed: int, context: Context) -> float | None:
    """Calibrate on the recipe's samples. Returns, where asked, how far that is from calibration on many, relative to what those change."""
    if "calibrate" not in model.method.defined:
        return None
    before, many = (copy.deepcopy(model), copy.deepcopy(model)) if recipe.compare_calibration else (None, None)
    for network, samples in ((model, recipe.calibration_samples), (many, LARGE)):
        if network is not None:
            x, _ = data.batch(arm.dataset, context.data / arm.dataset, samples, CALIBRATION, seed, context.device)
            model.method.calibrate(network, network.sites, network.method_params, [x])
    changed = None if many is None else _distance(many, before)
    return _distance(model, many) / changed if changed else None


def measured(batch_size: int) -> int:
    """The number of the batch that is measured on: behind all that calibration may have seen, where there are so many images."""
    return max(1, LARGE // batch_size)


def _distance(a: nn.Module, b: nn.Module) -> float:
    """Euclidean, over all parameters and buffers."""
    theirs = b.state_dict()
    return sum(float((v.double() - theirs[k].double()).square().sum()) for k, v in a.state_dict().items()) ** 0.5


def _invariance(model: nn.Module, arm: ArmSpec, recipe: Recipe, seed: int, context: Context, result: Result) -> None:
    x, _ = data.batch(arm.dataset, context.data / arm.dataset, recipe.batch_size, measured(recipe.batch_size), seed, context.device)
    result.probes = exact.invariance(model.double(), x.double(), recipe.weight_scale)


def _trajectory(model: nn.Module, arm: ArmSpec, recipe: Recipe, seed: int, context: Context, result: Result) -> None:
    folder = context.data / arm.dataset
    batches = (data.batch(arm.dataset, folder, recipe.batch_size, i, seed, context.device) for i in itertools.count())
    curve = exact.trajectory(model.double(), ((x.double(), y) for x, y in batches), recipe.weight_scale, recipe.lr, recipe.steps)
    result.trained = Trained(step=recipe.steps, curves={"train_loss": curve})
    result.metrics = {"init_loss": curve[0][1]}


def _model(arm: ArmSpec) -> nn.Module:
    method = load_method(arm.method)
    shape, classes = data.in_shape(arm.dataset), data.num_classes(arm.dataset)
    return build_model(arm.model, method, method.params(**arm.params), num_classes=classes, in_shape=shape)
