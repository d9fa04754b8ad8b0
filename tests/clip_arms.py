"""Small networks, recipes, arms and data for the tests of the kinetics task."""

from pathlib import Path

import pytest
from torch import nn

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.core.schema import validated
from tasks.kinetics import adapter, motions, networks
from tasks.kinetics.recipe import Recipe

SMALL = {"family": "resnet", "layers": [1, 1], "block": "basic", "stem": "imagenet", "width": 4}
RECIPE = {"steps": 5, "batch_size": 4, "lr": 0.05, "momentum": 0.9, "schedule": "cosine", "drop_fc": 0.5, "precision": "amp_bfloat16",
          "frames": 4, "stride": 2, "rate": 10, "short_side": [40, 40], "crop": 16, "test_short_side": 40, "test_crop": 16, "test_clips": 2,
          "test_crops": 3, "evaluations": 2}  # fmt: skip


def an_arm(method: str = "batch_norm", model: dict | None = None, params: dict | None = None, **recipe) -> ArmSpec:
    fields = validated(Recipe, {**RECIPE, **recipe}, "test").model_dump(mode="json")
    return ArmSpec("kinetics", "motions", model or SMALL, method, params or {}, fields)


def network(spec: dict, method: str = "batch_norm", classes: int = 8, **params) -> nn.Module:
    chosen = load_method(method)
    return networks.build(spec, chosen, chosen.params(**params), num_classes=classes, frames=8, crop=32)


def small_motions(folder: Path) -> Path:
    """The folder of datasets, with a few clips of the embedded set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motions, "PER_CLASS", {"train": 2, "val": 1})
        adapter.prepare("motions", folder)
    return folder
