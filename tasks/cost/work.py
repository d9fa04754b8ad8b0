"""How long a timed run takes, for planning. Torch-free."""

from typing import Any

from normbench.config.cost_model import Work, image_work
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset

PER_ROUND = 4  # steps of a round: the network and its baseline, there and back
PER_ELEMENT = 50  # multiply-adds that take as long as a norm's forward pass takes for one element of its input
COMPILING = 2.0  # seconds a run: ten and more for the first seed, few for the others, which find its kernels in a cache


def work(arm: ArmSpec, _data: Dataset) -> Work:
    """Of a run that times steps in rounds, of a network or of its norm alone."""
    recipe, model = arm.recipe, arm.model
    layers, macs = _encoder_work(model, recipe["pixels"] ** 2) if "heads" in model else image_work(model, recipe["pixels"])
    if recipe["subject"] == "layer":
        layers, macs = 1, PER_ELEMENT * model.get("width", 64) * recipe["pixels"] ** 2
    samples = (recipe.get("frames") or 1) * recipe["batch_size"]
    return Work(layers, macs * samples, PER_ROUND * recipe["rounds"], COMPILING if recipe.get("compiled") else 0.0)


def _encoder_work(model: dict[str, Any], tokens: int) -> tuple[int, float]:
    """Layers of four linear ones and two products of tokens with tokens."""
    depth, width = model["depth"], model.get("width", 64)
    return 4 * depth, depth * tokens * width * ((4 + 2 * model.get("expansion", 4)) * width + 2 * tokens)
