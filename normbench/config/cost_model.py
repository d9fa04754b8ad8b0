"""Expected work of a run, without torch: good to a factor of about two, for planning, packing and time left."""

from typing import Any, NamedTuple

from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset, read_task, work_of
from normbench.core.schema import Strict

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
BOTTLENECKS = (50, 101, 152, 200)
FORWARD_AND_BACKWARD = 3  # a backward pass costs about two forward passes
EMULATION = 3  # rounding each result costs about two more passes over memory


class Machine(Strict):
    """What one process trains on.

    seconds_per_run: building, probing and evaluating. seconds_per_layer: what a layer costs in each step
    whatever its size (forward, backward, update). macs_per_second: multiply-adds.
    """

    seconds_per_run: float = 0.0
    seconds_per_layer: float
    macs_per_second: float


class Work(NamedTuple):
    """What one seed computes: weight layers, multiply-adds of one training step's forward pass, steps, and seconds beside them.

    share: how much of the machine's seconds_per_run it takes, where there is less to do than a training has.
    """

    layers: float
    macs: float
    steps: float
    seconds: float = 0.0
    share: float = 1.0


def expected_seconds(arm: ArmSpec, machine: Machine) -> float:
    """Training seconds of one seed."""
    work = Work(*(work_of(arm.task) or training_work)(arm, read_task(arm.task).datasets[arm.dataset]))
    step = work.layers * machine.seconds_per_layer + FORWARD_AND_BACKWARD * work.macs / machine.macs_per_second
    return work.share * machine.seconds_per_run + work.seconds + work.steps * step


def training_work(arm: ArmSpec, data: Dataset) -> Work:
    """Of a run that trains on images for a recipe's epochs or steps."""
    recipe = arm.recipe
    layers, macs = image_work(arm.model, data.pixels)
    epochs, steps = recipe.get("epochs"), recipe.get("steps") or 1
    if epochs:
        steps = epochs * data.train / recipe["batch_size"]
    emulated = EMULATION if recipe.get("precision", "").startswith("emulated") else 1
    return Work(layers, macs * recipe["batch_size"], steps * emulated)


def image_work(model: dict[str, Any], pixels: int) -> tuple[int, float]:
    """(weight layers, multiply-adds of one image's forward pass).

    Every stage of 3x3 convolutions costs the same: half the side and twice the channels cancel. A
    bottleneck's three layers cost about as much as two 3x3 ones of its inner width.
    """
    family = model["family"]
    if family == "wide_resnet":
        depth = model["depth"]
        return depth, (depth - 4) * _conv(model.get("base_width", 16) * model.get("width", 1), pixels)
    if family == "resnet":
        blocks, bottleneck, width, side = _resnet(model, pixels)
        return sum(blocks) * (3 if bottleneck else 2), 2 * sum(blocks) * _conv(width, side)
    depth, width = model["depth"], model.get("width", 64)
    return depth, depth * _conv(width, pixels / 2)


def _resnet(model: dict[str, Any], pixels: int) -> tuple[tuple[int, ...], bool, int, float]:
    """(blocks per stage, whether they are bottlenecks, width and side of the first stage)."""
    imagenet = model.get("stem", "imagenet") == "imagenet"
    side = pixels / 4 if imagenet else pixels
    if "blocks" in model:
        return (model["blocks"],), model.get("block") == "bottleneck", model.get("width", 16), pixels
    if "layers" in model:
        return tuple(model["layers"]), model.get("block") == "bottleneck", model.get("width", 64), side
    depth = model["depth"]
    if depth in STAGES:
        return STAGES[depth], depth in BOTTLENECKS, model.get("width", 64), side
    return ((depth - 2) // 6,) * 3, False, model.get("width", 16), side


def _conv(width: float, side: float) -> float:
    return 9 * width**2 * side**2
