"""torchvision's Mask and Faster R-CNN with our backbone and a method's norms, and a plain loop, for torchvision has no trainer.

A batch is (images, targets): images [(3, h, w) in 0..1], targets [{boxes, labels, masks}], as torchvision's models take them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from normbench.hooks.methods import Method
from normbench.training.optimizer import set_lr
from normbench.training.precision import Precision
from tasks.coco.backbone import Backbone
from tasks.coco.batch_order import Draw, draws
from tasks.coco.design import BOX_POOL, MASK_POOL, Design
from tasks.coco.monitor import Monitor
from tasks.coco.norm_sites import NormSites, finish, head_places, pyramid_places
from tasks.coco.recipe import Recipe
from tasks.coco.samples import MEAN, STD, Readable, targets, workers

NAME = f"torchvision {torchvision.__version__.partition('+')[0]}"
RATIOS = (0.5, 1.0, 2.0)  # of an anchor's height and width
Batch = tuple[list[Tensor], list[dict[str, Tensor]]]


class Pyramid(nn.Module):
    """The backbone and the pyramid on it: x (N, 3, H, W) -> {"0": (N, fpn_width, H/s, W/s), ..., "pool"}."""

    def __init__(self, backbone: Backbone, width: int, norm_layer: Callable | None):
        super().__init__()
        self.body, self.out_channels = backbone, width
        self.fpn = FeaturePyramidNetwork(backbone.widths, width, LastLevelMaxPool(), norm_layer)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn({str(i): feature for i, feature in enumerate(self.body(x).values())})


def build(design: Design, method: Method, params: Any, recipe: Recipe, classes: int) -> nn.Module:
    """The detector, with `.sites`, `.method` and `.method_params`. Raises Refused where the method cannot stand."""
    backbone = Backbone(design.backbone, method, params)
    levels, asked = range(2, 2 + len(backbone.stages)), design.norms_in_heads
    fpn = pyramid_places(levels, method, params, asked)
    box = head_places("box_head", design.box_convs, method, params, asked)
    mask = head_places("mask_head", design.mask_convs if design.masks else 0, method, params, asked)
    pyramid = Pyramid(backbone, design.fpn_width, _norm_layer(fpn, design.fpn_width))
    names = [str(i) for i in range(len(backbone.stages))]
    box_head = FastRCNNConvFCHead(
        (design.fpn_width, BOX_POOL, BOX_POOL),
        [design.box_width] * design.box_convs,
        [design.box_fc_width] * design.box_fcs,
        _norm_layer(box, design.box_width),
    )
    _activations(box, box_head, design.box_width)
    proposed, asked_for = recipe.proposals
    shared = {
        "min_size": recipe.sides,
        "max_size": recipe.max_side,
        "image_mean": MEAN,
        "image_std": STD,
        "rpn_anchor_generator": AnchorGenerator(tuple((side,) for side in recipe.anchors), (RATIOS,) * len(recipe.anchors)),
        "rpn_pre_nms_top_n_train": 2 * proposed,
        "rpn_pre_nms_top_n_test": asked_for,
        "rpn_post_nms_top_n_train": proposed,
        "rpn_post_nms_top_n_test": asked_for,
        "rpn_batch_size_per_image": recipe.sampled_anchors,
        "box_roi_pool": MultiScaleRoIAlign(names, BOX_POOL, 2),
        "box_head": box_head,
        "box_predictor": FastRCNNPredictor(design.box_fc_width, classes + 1),
        "box_batch_size_per_image": recipe.sampled_boxes,
        "box_detections_per_img": recipe.detections,
    }
    if design.masks:
        mask_head = MaskRCNNHeads(design.fpn_width, [design.mask_width] * design.mask_convs, 1, _norm_layer(mask, design.mask_width))
        _activations(mask, mask_head, design.mask_width)
        shared |= {
            "mask_roi_pool": MultiScaleRoIAlign(names, MASK_POOL, 2),
            "mask_head": mask_head,
            "mask_predictor": MaskRCNNPredictor(design.mask_width, design.mask_width, classes + 1),
        }
    detector = (MaskRCNN if design.masks else FasterRCNN)(pyramid, **shared)
    detector.test_side = recipe.test_side
    return finish(detector, backbone, [fpn, box, mask])


def backbone_of(detector: nn.Module) -> Backbone:
    return detector.backbone.body


def _norm_layer(places: NormSites, width: int) -> NormSites | None:
    return places if places.stand(width) else None


def _activations(places: NormSites, head: nn.Sequential, width: int) -> None:
    """Behind norms of the method its activations, in place of torchvision's ReLU."""
    if any(placed.changed for placed in places.sites):
        for name, block in zip(places.names, head, strict=False):
            block[-1] = places.activation(name, width, block[-1])


def losses(detector: nn.Module, batch: Batch) -> dict[str, Tensor]:
    return detector(*batch)


class Drawn(Dataset):
    """The image and the targets that stand at a Draw."""

    def __init__(self, readable: Readable, masks: bool):
        self.readable, self.masks = readable, masks

    def __getitem__(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        image, pixels = self.readable.at(draw.index)
        return _image(pixels, draw.flip), targets(image, self.masks, draw.flip)


def batches(readable: Readable, design: Design, recipe: Recipe, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
    """The training batches from step `start` on."""
    loader = DataLoader(
        Drawn(readable, design.masks),
        batch_sampler=draws(readable.images, recipe.batch_size, recipe.flip, seed, start),
        collate_fn=list,
        num_workers=workers(device),
        generator=torch.Generator().manual_seed(seed),  # else it would draw from the one that the model draws from
    )
    for batch in loader:
        images = [image.to(device) for image, _ in batch]
        yield images, [{key: value.to(device) for key, value in found.items()} for _, found in batch]


def _image(pixels, flip: bool = False) -> Tensor:
    """(3, h, w) in 0..1."""
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    return image.flip(-1) if flip else image


def fit(
    detector: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, source: Callable[[int], Iterator[Batch]], monitor: Monitor
) -> None:
    """Train to the end of the budget, or until `monitor` ends it."""
    precision = Precision(recipe.precision, monitor.device)
    start = monitor.resume({"optimizer": optimizer, "scaler": precision.scaler})
    found = source(start)
    detector.train()
    for step in range(start, monitor.total):
        set_lr(optimizer, recipe.lr_at(step, monitor.total), recipe.lr)
        batch = next(found)
        with precision.forward():
            parts = losses(detector, batch)
            loss = sum(parts.values())
        if monitor.is_finite(loss):  # else the parts go to the monitor, which ends the run
            precision.scaler.scale(loss).backward()
            monitor.after_backward(precision.scaler)
            precision.scaler.step(optimizer)
            precision.scaler.update()
            optimizer.zero_grad(set_to_none=True)
        monitor.after_step(step + 1, {name: float(value.detach()) for name, value in parts.items()})


@torch.no_grad()
def predict(detector: nn.Module, readable: Readable, number: int, device: torch.device) -> dict[str, Tensor]:
    """What is found in one image: boxes (n, 4) as corners, labels (n,) from 0 up, scores (n,), masks (n, height, width) bool."""
    detector.eval()
    sides, detector.transform.min_size = detector.transform.min_size, (detector.test_side,)
    try:
        found = detector([_image(readable.at(number)[1]).to(device)])[0]
    finally:
        detector.transform.min_size = sides
    masks = {"masks": found["masks"][:, 0] > 0.5} if "masks" in found else {}
    return {"boxes": found["boxes"], "labels": found["labels"] - 1, "scores": found["scores"], **masks}
