"""What detectron2 builds a detector of, registered with it: our backbone under its pyramid, and its heads with a method's norms.

`config` is detectron2's configuration of a design and a recipe; its node MODEL.NORMBENCH carries the method, which the
parts load from there. Each part keeps its `places`, out of which the detector's list of sites is made.
"""

import json
import math
from dataclasses import asdict
from typing import Any

import torch
from detectron2.config import CfgNode, get_cfg
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, FPN, ROI_BOX_HEAD_REGISTRY, ROI_MASK_HEAD_REGISTRY
from detectron2.modeling import Backbone as Detectron2Backbone
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.roi_heads import FastRCNNConvFCHead, MaskRCNNConvUpsampleHead
from torch import Tensor

from normbench import load_method
from normbench.hooks.methods import Method
from tasks.coco.backbone import Backbone
from tasks.coco.design import BOX_POOL, MASK_POOL, Design
from tasks.coco.norm_sites import NormSites, head_places, pyramid_places
from tasks.coco.recipe import Recipe
from tasks.coco.samples import MEAN, STD


def config(design: Design, method: Method, params: Any, recipe: Recipe, classes: int) -> CfgNode:
    """detectron2's configuration. What it says of training is the recipe's, for whoever reads it: the trainer is built by hand."""
    cfg = get_cfg()
    model, levels = cfg.MODEL, [f"p{level}" for level in _levels(design)]
    model.NORMBENCH = CfgNode(
        {
            "METHOD": method.name,
            "PARAMS": json.dumps(asdict(params)),
            "BACKBONE": json.dumps(design.backbone),
            "NORMS_IN_HEADS": design.norms_in_heads,
        }
    )
    model.DEVICE, model.MASK_ON = str(torch.get_default_device()), design.masks  # where it is built; it is moved later
    model.PIXEL_MEAN, model.PIXEL_STD = [255 * mean for mean in MEAN], [255 * std for std in STD]
    model.BACKBONE.NAME, model.BACKBONE.FREEZE_AT = "build_normbench_fpn_backbone", recipe.freeze_at
    model.FPN.IN_FEATURES, model.FPN.OUT_CHANNELS = [f"res{level[1:]}" for level in levels], design.fpn_width
    model.ANCHOR_GENERATOR.SIZES = [[side] for side in recipe.anchors]
    rpn, heads, box, mask = model.RPN, model.ROI_HEADS, model.ROI_BOX_HEAD, model.ROI_MASK_HEAD
    rpn.IN_FEATURES = [*levels, f"p{int(levels[-1][1:]) + 1}"]
    rpn.PRE_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TRAIN = 2 * recipe.proposals[0], recipe.proposals[0]
    rpn.PRE_NMS_TOPK_TEST = rpn.POST_NMS_TOPK_TEST = recipe.proposals[1]
    rpn.BATCH_SIZE_PER_IMAGE = recipe.sampled_anchors
    heads.NAME, heads.IN_FEATURES, heads.NUM_CLASSES = "StandardROIHeads", levels, classes
    heads.BATCH_SIZE_PER_IMAGE = recipe.sampled_boxes
    box.NAME, box.POOLER_RESOLUTION = "normbench_box_head", BOX_POOL
    box.NUM_CONV, box.CONV_DIM, box.NUM_FC, box.FC_DIM = design.box_convs, design.box_width, design.box_fcs, design.box_fc_width
    mask.NAME, mask.POOLER_RESOLUTION = "normbench_mask_head", MASK_POOL
    mask.NUM_CONV, mask.CONV_DIM = design.mask_convs, design.mask_width
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.FORMAT = recipe.sides, recipe.max_side, "RGB"
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = recipe.test_side, recipe.max_side
    cfg.TEST.DETECTIONS_PER_IMAGE = recipe.detections
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.GAMMA = recipe.batch_size, recipe.lr, recipe.gamma
    cfg.SOLVER.MOMENTUM, cfg.SOLVER.WEIGHT_DECAY = recipe.momentum, recipe.weight_decay
    cfg.SOLVER.WEIGHT_DECAY_NORM = recipe.weight_decay if recipe.decay_norms else 0.0
    if recipe.steps:
        cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS = recipe.steps, round(recipe.warmup * recipe.steps)
        cfg.SOLVER.STEPS = tuple(round(m * recipe.steps) for m in recipe.milestones)
    return cfg


def _levels(design: Design) -> list[int]:
    """Exponents of the strides of the backbone's stages: 2, 3, 4, 5 for a ResNet with ImageNet's stem."""
    backbone = design.backbone
    stages = len(backbone["layers"]) if "layers" in backbone else 4 if backbone.get("depth", 0) in (18, 34, 50, 101, 152, 200) else 3
    first = 2 if backbone.get("stem", "imagenet" if stages > 3 else "cifar") == "imagenet" else 0
    return list(range(first, first + stages))


class Stages(Detectron2Backbone):
    """Our backbone with detectron2's names: res2 for the stage of stride 4, and so on."""

    def __init__(self, body: Backbone):
        super().__init__()
        self.body = body
        self.features = [f"res{round(math.log2(stride))}" for stride in body.strides]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.features, self.body(x).values(), strict=True))

    def output_shape(self) -> dict[str, ShapeSpec]:
        shapes = zip(self.body.widths, self.body.strides, strict=True)
        return {name: ShapeSpec(channels=width, stride=stride) for name, (width, stride) in zip(self.features, shapes, strict=True)}


def _method(cfg: CfgNode) -> tuple[Method, Any]:
    method = load_method(cfg.MODEL.NORMBENCH.METHOD)
    return method, method.params(**json.loads(cfg.MODEL.NORMBENCH.PARAMS))


def _norm(places: NormSites, width: int) -> NormSites | str:
    """What detectron2's get_norm takes: something that gives a norm for a width, or "" for none."""
    return places if places.stand(width) else ""


@BACKBONE_REGISTRY.register()
def build_normbench_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """Our residual network with any method under detectron2's pyramid."""
    bottom_up = Stages(Backbone(json.loads(cfg.MODEL.NORMBENCH.BACKBONE), *_method(cfg)))
    levels = [int(name[3:]) for name in bottom_up.features]
    places = pyramid_places(levels, *_method(cfg), cfg.MODEL.NORMBENCH.NORMS_IN_HEADS)
    top, width = LastLevelMaxPool(), cfg.MODEL.FPN.OUT_CHANNELS
    top.in_feature = f"p{levels[-1]}"
    pyramid = FPN(bottom_up, cfg.MODEL.FPN.IN_FEATURES, width, norm=_norm(places, width), top_block=top)
    pyramid.places = places
    return pyramid


@ROI_BOX_HEAD_REGISTRY.register()
def normbench_box_head(cfg: CfgNode, input_shape: ShapeSpec) -> FastRCNNConvFCHead:
    node = cfg.MODEL.ROI_BOX_HEAD
    places = head_places("box_head", node.NUM_CONV, *_method(cfg), cfg.MODEL.NORMBENCH.NORMS_IN_HEADS)
    dims = {"conv_dims": [node.CONV_DIM] * node.NUM_CONV, "fc_dims": [node.FC_DIM] * node.NUM_FC}
    return _finished(FastRCNNConvFCHead(input_shape, **dims, conv_norm=_norm(places, node.CONV_DIM)), places)


@ROI_MASK_HEAD_REGISTRY.register()
def normbench_mask_head(cfg: CfgNode, input_shape: ShapeSpec) -> MaskRCNNConvUpsampleHead:
    node = cfg.MODEL.ROI_MASK_HEAD
    places = head_places("mask_head", node.NUM_CONV, *_method(cfg), cfg.MODEL.NORMBENCH.NORMS_IN_HEADS)
    dims = [node.CONV_DIM] * (node.NUM_CONV + 1)  # the last is the upsampling layer's
    classes = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    return _finished(
        MaskRCNNConvUpsampleHead(input_shape, num_classes=classes, conv_dims=dims, conv_norm=_norm(places, node.CONV_DIM)), places
    )


def _finished(head: Any, places: NormSites) -> Any:
    """Behind norms of the method its activations, in place of detectron2's ReLU."""
    if any(placed.changed for placed in places.sites):
        for name, conv in zip(places.names, head.conv_norm_relus, strict=True):
            conv.activation = places.activation(name, conv.out_channels, conv.activation)
    head.places = places
    return head
