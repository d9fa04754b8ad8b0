"""The coco task: a detector on a backbone with any method, trained by detectron2 or torchvision, measured as COCO does.

Data, order, sites, recipes, curves, checkpoints and metrics are the same for both engines; an engine builds its model, feeds
it and takes a step (torchvision_engine.py, detectron2_engine.py have the same functions).
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.core.errors import InputError
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal
from normbench.training.loop import Trained
from tasks.coco import data
from tasks.coco.annotations import Split
from tasks.coco.backbone import calibrate, load_weights
from tasks.coco.design import Design, read_design
from tasks.coco.evaluation import EVALUATOR, as_results, average_precision
from tasks.coco.monitor import Diverged, Monitor
from tasks.coco.norm_sites import sites_for_the_record
from tasks.coco.optimizer import optimizer_of
from tasks.coco.pictures import draw
from tasks.coco.pretrained import backbone_weights
from tasks.coco.recipe import Recipe, has_detectron2
from tasks.coco.samples import Readable


def prepare(dataset: str, root: Path) -> str:
    """Make the embedded dataset, or check the user's; returns its hash. One sentence where it is missing or broken."""
    return data.prepare(dataset, root / dataset)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's detector without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    return refusal(lambda: _checked(arm, engine_of(arm)))


def _checked(arm: ArmSpec, engine: ModuleType) -> nn.Module:
    """The detector, whose pyramid has a level for each side of the recipe's anchors."""
    detector = _build(arm, engine, 1)
    levels, sides = len(engine.backbone_of(detector).stages) + 1, arm.recipe["anchors"]
    if len(sides) != levels:
        raise InputError(
            f"recipe: anchors: {list(sides)} has {len(sides)} sides, and the pyramid of this model {levels} levels; give one for each"
        )
    return detector


def engine_of(arm: ArmSpec) -> ModuleType:
    """The module of the arm's engine."""
    if arm.recipe["engine"] == "torchvision":
        from tasks.coco import torchvision_engine

        return torchvision_engine
    if not has_detectron2():
        raise InputError("recipe: engine: detectron2 is not installed (README.md says how); torchvision or auto would do")
    with warnings.catch_warnings():  # detectron2 uses what torch will not have for ever, which is no news to whoever trains with it
        warnings.simplefilter("ignore", FutureWarning)
        from tasks.coco import detectron2_engine
    return detectron2_engine


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Train one run and measure it. Raises InputError in one of several processes: the engines' loops here are of one."""
    if context.world_size > 1:
        raise InputError(f"coco: a run trains in one process, and this is one of {context.world_size}; resources: gpus: 1 would do")
    with _pooling(context.device):
        return _run(arm, seed, context)


@contextlib.contextmanager
def _pooling(device: torch.device) -> Iterator[None]:
    """On a GPU without deterministic algorithms: where they are asked for, torchvision pools regions in Python, which takes far longer."""
    if device.type != "cuda":
        yield
        return
    asked = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=True)


def _run(arm: ArmSpec, seed: int, context: Context) -> Result:
    engine, recipe, design = engine_of(arm), Recipe(**arm.recipe), read_design(arm.model)
    folder = context.data / arm.dataset
    train, held_out = (data.load(arm.dataset, folder, name) for name in data.SPLITS)
    torch.manual_seed(seed)
    try:
        detector = _build(arm, engine, len(train.categories))
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    backbone = engine.backbone_of(detector)
    if recipe.weights != "scratch":
        load_weights(backbone, backbone_weights(arm, recipe, context))
    backbone.freeze(recipe.freeze_at, recipe.freeze_norm)
    detector.to(context.device)
    shown, asked = Readable([image for image in train.images if image.trains]), Readable(held_out.images)

    def source(start: int):
        return engine.batches(shown, design, recipe, seed, start, context.device)

    def evaluate() -> dict[str, float]:
        return _evaluate(engine, detector, design, held_out, asked, context.device)

    if recipe.weights == "scratch" and "calibrate" in detector.method.defined:  # else calibrated when it was trained before
        calibrate(detector, lambda batch: engine.losses(detector, batch), list(itertools.islice(source(0), recipe.calibration_batches)))
    optimizer = optimizer_of(detector, recipe)
    with (
        Monitor(detector, optimizer, recipe, recipe.total_steps(len(shown.images)), context, evaluate) as monitor,
        contextlib.suppress(Diverged),
    ):
        engine.fit(detector, optimizer, recipe, source, monitor)  # a divergence is a result: monitor.trained has its step and cause
    metrics = _metrics(monitor.trained, monitor.total)
    metrics["skipped_annotations"] = float(sum(train.skipped.values()) + sum(held_out.skipped.values()))
    metrics["skipped_images"] = float(len(shown.lost) + len(asked.lost))
    if context.picture and monitor.trained.status == "finished":
        draw(lambda number: engine.predict(detector, asked, number, context.device), asked, held_out, context.picture)
    return Result(
        monitor.trained,
        metrics,
        sites=sites_for_the_record(detector, backbone),
        n_parameters=count_parameters(detector),
        data_sha256=data.data_sha256(arm.dataset, folder),
        engine=engine.NAME,
        notes={"evaluator": EVALUATOR},
    )


def _build(arm: ArmSpec, engine: ModuleType, classes: int) -> nn.Module:
    method = load_method(arm.method)
    return engine.build(read_design(arm.model), method, method.params(**arm.params), Recipe(**arm.recipe), classes)


def _evaluate(
    engine: ModuleType, detector: nn.Module, design: Design, split: Split, readable: Readable, device: torch.device
) -> dict[str, float]:
    results = []
    for number, image in enumerate(split.images):
        found = engine.predict(detector, readable, number, device)
        if image.path not in readable.lost:
            results += as_results(found, image.id, split.category_ids)
    return average_precision(split, results, design.masks)


def _metrics(trained: Trained, steps: int) -> dict[str, float]:
    """The metrics of a finished run out of its curves; of a diverged run none, its row says so."""
    if trained.status != "finished":
        return {}
    metrics = {name: points[-1][1] for name, points in trained.curves.items() if name.startswith(("box_", "mask_"))}
    late = [value for step, value in trained.curves["train_loss"] if step > 0.9 * steps]
    return {**metrics, "train_loss": sum(late) / len(late)}
