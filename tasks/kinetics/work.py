"""How long training on clips takes, for planning. Torch-free."""

from typing import Any

from normbench.config.cost_model import BOTTLENECKS, STAGES, Work
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset

HELD_OUT = {"motions": 320, "kinetics400": 19906, "kinetics600": 30000, "kinetics700": 35000}  # clips, about
SECONDS_BESIDE = 3.0  # a run's share of reading the clips, and the probes
SPEED = 2.0  # kernels over time keep a core busier than the flat ones that machines are measured by


def work(arm: ArmSpec, data: Dataset) -> Work:
    """Steps of training, and the views of all evaluations as so many more of them: a step costs three forward passes."""
    recipe = arm.recipe
    layers, macs = _clip_work(arm.model, recipe["frames"], recipe["crop"])
    steps = recipe["steps"] or recipe["epochs"] * data.train / recipe["batch_size"]
    views = recipe["test_clips"] * recipe["test_crops"] * HELD_OUT[arm.dataset] * recipe["evaluations"]
    return Work(layers, macs * recipe["batch_size"] / SPEED, steps + views / (3 * recipe["batch_size"]), SECONDS_BESIDE)


def _clip_work(model: dict[str, Any], frames: int, side: float) -> tuple[int, float]:
    """(weight layers, multiply-adds of one clip's forward pass)."""
    blocks = tuple(model["layers"]) if "layers" in model else STAGES[model["depth"]]
    bottleneck = model.get("block") == "bottleneck" or model.get("depth") in BOTTLENECKS
    flat = model["family"] == "slow_resnet"
    width = model.get("width", 64)
    side = side / (4 if flat else 2 if model.get("stem", "imagenet") == "imagenet" else 1)
    total = 3 * width * (49 if flat else 147) * frames * (2 * side) ** 2 / (1 if flat else 4)  # the stem
    for stage, count in enumerate(blocks):
        # Each stage has half the side and twice the channels; what is not flat has half the frames too.
        positions = frames / (1 if flat else 2**stage) * (side / 2**stage) ** 2
        total += 2 * count * (9 if flat else 27) * (width * 2**stage) ** 2 * positions
    return sum(blocks) * (3 if bottleneck else 2), total
