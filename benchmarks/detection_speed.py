"""Training steps a second of the coco task over those of torchvision's and detectron2's own models with the same norm.

    python -m benchmarks.detection_speed [--rounds 9] [--steps 6]

Mask R-CNN with a ResNet-18 and batch norm in backbone, pyramid and heads, two digit scenes of 128 pixels a step. Ours is what a
run does: our backbone, the engine's fit, curves and the look at each loss. Theirs is their own backbone and norm in a loop as
a tutorial writes it (torchvision), and in detectron2's trainer with its scheduler (where it is installed). Rounds alternate, one
thread, processor time; the figure is the median over rounds of the ratio of neighboring rounds. Both sides see the same
batches. Writes build/benchmarks/detection_speed.json.
"""

import argparse
import importlib
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from normbench import load_method
from normbench.core.files import write_json
from normbench.execution.task_api import Context
from tasks.coco import data, embedded
from tasks.coco.design import BOX_POOL, Design, read_design
from tasks.coco.monitor import Monitor
from tasks.coco.optimizer import optimizer_of
from tasks.coco.recipe import Recipe, has_detectron2
from tasks.coco.samples import MEAN, STD, Readable

MODEL = {
    "family": "mask_rcnn",
    "depth": 18,
    "fpn_width": 256,
    "box_convs": 2,
    "box_width": 64,
    "box_fcs": 1,
    "box_fc_width": 256,
    "mask_width": 64,
}
RECIPE = {
    "steps": 1,
    "batch_size": 2,
    "lr": 1e-4,
    "weight_decay": 1e-4,
    "decay_norms": True,
    "sides": [128],
    "test_side": 128,
    "max_side": 256,
    "flip": False,
    "anchors": [16, 32, 64, 96, 128],
    "sampled_boxes": 64,
    "proposals": [200, 100],
    "weights": "scratch",
}
CPU, CLASSES = torch.device("cpu"), 5
Steps = Callable[[int], None]  # trains so many steps


def torchvisions_own(design: Design, recipe: Recipe) -> nn.Module:
    """As torchvision's maskrcnn_resnet50_fpn_v2 puts its parts together."""
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

    norm, width = nn.BatchNorm2d, design.mask_width
    convs, fcs = [design.box_width] * design.box_convs, [design.box_fc_width] * design.box_fcs
    return MaskRCNN(
        _resnet_fpn_extractor(torchvision.models.resnet18(weights=None), 5, norm_layer=norm),
        min_size=recipe.sides,
        max_size=recipe.max_side,
        image_mean=MEAN,
        image_std=STD,
        rpn_anchor_generator=AnchorGenerator(tuple((a,) for a in recipe.anchors), ((0.5, 1.0, 2.0),) * len(recipe.anchors)),
        rpn_pre_nms_top_n_train=2 * recipe.proposals[0],
        rpn_post_nms_top_n_train=recipe.proposals[0],
        rpn_batch_size_per_image=recipe.sampled_anchors,
        box_head=FastRCNNConvFCHead((256, BOX_POOL, BOX_POOL), convs, fcs, norm),
        box_predictor=FastRCNNPredictor(design.box_fc_width, CLASSES + 1),
        box_batch_size_per_image=recipe.sampled_boxes,
        mask_head=MaskRCNNHeads(256, [width] * design.mask_convs, 1, norm),
        mask_predictor=MaskRCNNPredictor(width, width, CLASSES + 1),
    )


def torchvisions_steps(detector: nn.Module, batches: list, recipe: Recipe) -> Steps:
    """The loop of a tutorial, the loss read each step."""
    optimizer = torch.optim.SGD(detector.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)

    def train(steps: int) -> None:
        detector.train()
        for images, targets in itertools.islice(itertools.cycle(batches), steps):
            loss = sum(detector(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return train


def detectron2s_own(design: Design, recipe: Recipe) -> nn.Module:
    from detectron2.modeling import build_model

    from tasks.coco.detectron2_parts import config

    method = load_method("batch_norm")
    cfg = config(design, method, method.params(), recipe, CLASSES)
    resnets = cfg.MODEL.RESNETS
    resnets.DEPTH, resnets.RES2_OUT_CHANNELS, resnets.NORM, resnets.OUT_FEATURES = 18, 64, "BN", cfg.MODEL.FPN.IN_FEATURES
    cfg.MODEL.BACKBONE.NAME, cfg.MODEL.FPN.NORM = "build_resnet_fpn_backbone", "BN"
    cfg.MODEL.ROI_BOX_HEAD.NAME, cfg.MODEL.ROI_MASK_HEAD.NAME = "FastRCNNConvFCHead", "MaskRCNNConvUpsampleHead"
    cfg.MODEL.ROI_BOX_HEAD.NORM = cfg.MODEL.ROI_MASK_HEAD.NORM = "BN"
    return build_model(cfg)


def detectron2s_steps(detector: nn.Module, batches: list, recipe: Recipe) -> Steps:
    """detectron2's trainer with its scheduler."""
    from detectron2.engine import SimpleTrainer, hooks

    optimizer = torch.optim.SGD(detector.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    trainer = SimpleTrainer(detector, None, optimizer)
    trainer.register_hooks([hooks.LRScheduler(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0))])

    def train(steps: int) -> None:
        trainer.data_loader, trainer._data_loader_iter_obj = itertools.cycle(batches), None
        detector.train()
        trainer.train(0, steps)

    return train


def ours(engine: Any, design: Design, batches: list, recipe: Recipe) -> Steps:
    method = load_method("batch_norm")
    detector = engine.build(design, method, method.params(), recipe, CLASSES)
    optimizer = optimizer_of(detector, recipe)

    def train(steps: int) -> None:
        with Monitor(detector, optimizer, recipe, steps, Context(CPU, Path()), dict) as monitor:
            engine.fit(detector, optimizer, recipe, lambda start: itertools.cycle(batches), monitor)

    return train


def seconds(train: Steps, steps: int) -> float:
    """Processor seconds a step."""
    began = time.process_time()
    train(steps)
    return (time.process_time() - began) / steps


OWN = {"torchvision": (torchvisions_own, torchvisions_steps), "detectron2": (detectron2s_own, detectron2s_steps)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder, design, results = Path("build/data") / embedded.DATASET, read_design(MODEL), {}
    embedded.make(folder)
    images = Readable([image for image in data.load(embedded.DATASET, folder, data.SPLITS[0]).images if image.trains])
    for name in ("torchvision", *(["detectron2"] if has_detectron2() else [])):
        engine, (build, steps_of) = importlib.import_module(f"tasks.coco.{name}_engine"), OWN[name]
        recipe = Recipe(**{**RECIPE, "engine": name})
        batches = list(itertools.islice(engine.batches(images, design, recipe, 0, 0, CPU), args.steps))
        torch.manual_seed(0)
        theirs, mine = steps_of(build(design, recipe), batches, recipe), ours(engine, design, batches, recipe)
        seconds(theirs, 2), seconds(mine, 2)
        pairs = []
        for turn in range(args.rounds):
            first = seconds(theirs, args.steps) if turn % 2 else None
            own = seconds(mine, args.steps)
            pairs.append((own, first or seconds(theirs, args.steps)))
        ratio = statistics.median(b / a for a, b in pairs)
        milliseconds = [1e3 * statistics.median(p[i] for p in pairs) for i in (0, 1)]
        results[name] = {"steps_per_second_over_theirs": ratio, "ours_ms": milliseconds[0], "theirs_ms": milliseconds[1]}
        print(
            f"{engine.NAME}: {ratio:.3f} of its own steps a second (ours {milliseconds[0]:.0f} ms, theirs {milliseconds[1]:.0f} ms a step)",
            flush=True,
        )
    write_json(Path("build/benchmarks/detection_speed.json"), results)


if __name__ == "__main__":
    main()
