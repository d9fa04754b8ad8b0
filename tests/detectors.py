"""Small detectors, recipes and data for the tests of the coco task."""

from pathlib import Path
from typing import Any

import pytest
import torch

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.execution.task_api import Context
from normbench.training.checkpoint import Checkpoints
from tasks.coco import embedded
from tasks.coco.design import read_design
from tasks.coco.recipe import Recipe

MODEL = {
    "family": "mask_rcnn",
    "layers": [1, 1],
    "block": "bottleneck",
    "stem": "imagenet",
    "width": 8,
    "fpn_width": 16,
    "box_convs": 1,
    "box_width": 16,
    "box_fcs": 1,
    "box_fc_width": 16,
    "mask_convs": 1,
    "mask_width": 8,
}
RECIPE = {
    "engine": "torchvision",
    "steps": 4,
    "batch_size": 2,
    "lr": 0.02,
    "weight_decay": 1e-4,
    "decay_norms": False,
    "sides": [64],
    "test_side": 64,
    "max_side": 128,
    "flip": True,
    "anchors": [16, 32, 64],
    "sampled_anchors": 16,
    "proposals": [20, 10],
    "sampled_boxes": 8,
    "detections": 5,
    "weights": "scratch",
}
GROUPS = {"num_groups": 4}
CPU = torch.device("cpu")


def an_arm(method: str = "group_norm", params: dict | None = None, model: dict | None = None, **recipe: Any) -> ArmSpec:
    params = (GROUPS if method == "group_norm" else {}) if params is None else params
    return ArmSpec("coco", embedded.DATASET, {**MODEL, **(model or {})}, method, params, {**RECIPE, **recipe})


def built(engine: Any, arm: ArmSpec, classes: int = 5, seed: int = 0) -> torch.nn.Module:
    """The arm's detector as an engine's module builds it."""
    torch.manual_seed(seed)
    method = load_method(arm.method)
    return engine.build(read_design(arm.model), method, method.params(**arm.params), Recipe(**arm.recipe), classes)


def small_scenes(root: Path, train: int = 12, val: int = 4) -> Path:
    """The embedded dataset with fewer pictures, in `root`/digit_scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "PICTURES", {"train": train, "val": val})
        embedded.make(root / embedded.DATASET)
    return root / embedded.DATASET


def context(data: Path, checkpoint: Path | None = None, every: float = 1e9, picture: Path | None = None) -> Context:
    return Context(CPU, data, Checkpoints(checkpoint, "this", every) if checkpoint else None, picture=picture)
