"""Expected work of a run, without torch: good to a factor of about two, for planning, packing and time left."""

from typing import Any

from normbench.schema import Strict
from normbench.spec import ArmSpec
from normbench.tasks import read_task

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
BOTTLENECKS = (50, 101, 152, 200)
FORWARD_AND_BACKWARD = 3  # a backward pass costs about two forward passes
EMULATION = 3  # rounding each result costs about two more passes over memory
PER_ROUND = 4  # steps of a round where networks are timed: two of them, there and back
PER_ELEMENT = 50  # multiply-adds that take as long as a norm's forward pass takes for one element of its input
COMPILING = 2.0  # seconds a run: ten and more for the first seed, few for the others, which find its kernels in a cache


class Machine(Strict):
    """What one process trains on.

    seconds_per_run: building, probing and evaluating. seconds_per_layer: what a layer costs in each step
    whatever its size (forward, backward, update). macs_per_second: multiply-adds.
    """

    seconds_per_run: float = 0.0
    seconds_per_layer: float
    macs_per_second: float


def expected_seconds(arm: ArmSpec, machine: Machine) -> float:
    """Training seconds of one seed."""
    data, recipe = read_task(arm.task).datasets[arm.dataset], arm.recipe
    if "rounds" in recipe:
        return _timing_seconds(arm, machine)
    layers, macs = work(arm.model, data.pixels)
    epochs, steps = recipe.get("epochs"), recipe.get("steps") or 1
    if epochs:
        steps = epochs * data.train / recipe["batch_size"]
    step = layers * machine.seconds_per_layer + FORWARD_AND_BACKWARD * macs * recipe["batch_size"] / machine.macs_per_second
    return machine.seconds_per_run + steps * step * (EMULATION if recipe.get("precision", "").startswith("emulated") else 1)


def _timing_seconds(arm: ArmSpec, machine: Machine) -> float:
    """Seconds of a run that times steps in rounds, of a network or of its norm alone."""
    recipe, model = arm.recipe, arm.model
    layers, macs = work(model, recipe["pixels"])
    if recipe["subject"] == "layer":
        layers, macs = 1, PER_ELEMENT * model.get("width", 64) * recipe["pixels"] ** 2
    clip = (recipe.get("frames") or 1) * recipe["batch_size"]
    step = layers * machine.seconds_per_layer + FORWARD_AND_BACKWARD * macs * clip / machine.macs_per_second
    return machine.seconds_per_run + PER_ROUND * recipe["rounds"] * step + (COMPILING if recipe.get("compiled") else 0)


def work(model: dict[str, Any], pixels: int) -> tuple[int, float]:
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
    if "heads" in model:  # an encoder of depth layers, each of four linear ones and two products of tokens with tokens
        tokens = pixels**2
        return 4 * depth, depth * tokens * width * ((4 + 2 * model.get("expansion", 4)) * width + 2 * tokens)
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
