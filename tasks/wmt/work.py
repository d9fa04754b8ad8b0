"""How long a training of a transformer and its translations take, for planning. Torch-free."""

from typing import Any

from normbench.config.cost_model import Work
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset

VOCABULARY = {"numbers": 248, "numbers_large": 248, "iwslt14_de_en": 10_000}  # words that scores are given to; of WMT 32,768
FULL = 0.75  # share of a batch that is no padding
TRANSLATED = 200  # sentences of the embedded test set
LAYER_CALLS = 1.6  # fairseq's bookkeeping, beside what the machine's seconds a layer stand for


def work(arm: ArmSpec, _data: Dataset) -> Work:
    """Weight layers and multiply-adds of one step, and the steps."""
    model, recipe = arm.model, arm.recipe
    layers, macs = _of_a_token(model, VOCABULARY.get(arm.dataset, 32_768))
    tokens = FULL * recipe["max_tokens"] * recipe["update_freq"]
    translating = TRANSLATED * recipe["beam"] * layers * 1e-4
    return Work(LAYER_CALLS * layers * recipe["update_freq"], macs * tokens, recipe["steps"], translating)


def _of_a_token(model: dict[str, Any], vocabulary: int) -> tuple[int, float]:
    """(weight layers, multiply-adds of a target token and a source token)."""
    encoder, decoder = model["layers"]
    width, inner = model["width"], model["feedforward"]
    layers = 6 * encoder + 10 * decoder
    return layers, encoder * (4 * width + 2 * inner) * width + decoder * (8 * width + 2 * inner) * width + vocabulary * width
