"""The kinetics task: builds a network of clips with the method, feeds the videos, trains by the recipe, measures.

The step loop is the library's; what is added is where batches come from and how scores of several views become one.
"""

import itertools
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.diagnostics.watch import Watch
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands
from normbench.training.classification import mixer, run_metrics
from normbench.training.loop import Trained, Training, fit
from tasks.kinetics import data, networks, weights
from tasks.kinetics.batches import EvaluationBatches, TrainingBatches
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.sampling import evaluation_views, training_views
from tasks.kinetics.scores import evaluate
from tasks.kinetics.video import decoder

EVAL_VIEWS = 96  # of a batch, in evaluation
PROBE_VIEWS = 24


def prepare(dataset: str, root: Path) -> str:
    """Make the embedded dataset, or check the user's; returns its hash. One sentence where it is missing or broken."""
    return data.prepare(dataset, root / dataset)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    recipe = Recipe(**arm.recipe)
    if recipe.inflate:
        weights.check(recipe.inflate, arm)
    return refusal(lambda: _model(arm, recipe))


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Train one run and measure it."""
    recipe, folder = Recipe(**arm.recipe), context.data / arm.dataset
    torch.manual_seed(seed)
    try:
        model = _model(arm, recipe)
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    model = model.to(context.device, memory_format=torch.channels_last_3d if recipe.channels_last else torch.contiguous_format)
    unread = data.Unread(data.read(arm.dataset, folder))
    ours = {"rank": context.rank, "world_size": context.world_size}
    batches, held_out = _batches(arm.dataset, folder, recipe, seed, unread, context.device, **ours)
    # What is measured and calibrated is not to depend on how many processes there are: each sees all of it.
    every, all_held_out = (batches, held_out)
    if context.world_size > 1:
        every, all_held_out = _batches(arm.dataset, folder, recipe, seed, unread, context.device)
    notes = weights.inflate(model, recipe.inflate, arm) if recipe.inflate else {}
    if not recipe.inflate:
        _calibrate(model, [x for x, _ in itertools.islice(every.starting(0), recipe.calibration_batches)])
    watch = Watch(model, *_probe(all_held_out), everything=False)
    steps = recipe.total_steps(batches.steps_per_epoch)
    trained = fit(
        Training(
            model=model,
            recipe=recipe,
            device=context.device,
            total_steps=steps,
            epoch_steps=batches.steps_per_epoch,
            batches=batches.starting,
            evaluate=lambda network: evaluate(network, held_out),
            mix=mixer(recipe, seed),
            checkpoints=data.KeepingUnread(context.checkpoints, unread, context.device) if context.checkpoints else None,
            progress=context.progress,
            norms=context.norms,
            **ours,
        )
    )
    unread.agree(context.device)
    metrics = {**run_metrics(trained, steps), **unread.metrics()}
    if trained.status == "finished":
        watch.after()
        metrics["test_top5"] = trained.curves["test_top5"][-1][1]
    return Result(
        trained,
        watch.metrics | metrics,
        watch.probes,
        what_stands(model.sites),
        count_parameters(model),
        data.data_sha256(arm.dataset, folder),
        engine=f"torch {torch.__version__}, {decoder()}",
        notes=notes | unread.notes(recipe),
    )


def _model(arm: ArmSpec, recipe: Recipe) -> nn.Module:
    method = load_method(arm.method)
    shape = {"frames": recipe.frames, "crop": recipe.crop}
    return networks.build(
        arm.model, method, method.params(**arm.params), num_classes=data.CLASSES[arm.dataset], drop_fc=recipe.drop_fc, **shape
    )


def _batches(
    dataset: str, folder: Path, recipe: Recipe, seed: int, unread: data.Unread, device: torch.device, **share: int
) -> tuple[TrainingBatches, EvaluationBatches]:
    options = {name: {"failed": partial(unread.failed, name), "device": device, **share} for name in ("train", "val")}
    clips = {name: split.clips for name, split in unread.index.splits.items()}
    sources = {name: data.source(dataset, folder, name, recipe) for name in clips}
    batch = max(1, EVAL_VIEWS // (recipe.test_clips * recipe.test_crops))
    return (
        TrainingBatches(sources["train"], clips["train"], training_views(recipe, seed), recipe.batch_size, seed, **options["train"]),
        EvaluationBatches(sources["val"], clips["val"], evaluation_views(recipe), batch, **options["val"]),
    )


def _calibrate(model: nn.Module, batches: list[Tensor]) -> None:
    model.method.calibrate(model, model.sites, model.method_params, batches)


def _probe(held_out: EvaluationBatches) -> tuple[Tensor, Tensor]:
    """A few held-out clips, as many views of them as there are: x (N, 3, T, S, S), y (N,)."""
    x, y = next(iter(held_out))
    return x.flatten(0, 1)[:PROBE_VIEWS], y.repeat_interleave(x.shape[1])[:PROBE_VIEWS]
