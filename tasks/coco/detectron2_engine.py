"""detectron2's Mask and Faster R-CNN, loader, trainer and hooks, with our backbone and a method's norms (detectron2_parts.py).

A batch is detectron2's: a list of {"image": (3, h, w) uint8, "height", "width", "instances"}, one an image. Checkpoints hold
the state of detectron2's trainer, in the suite's own files, which are whole or absent.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import detectron2
import numpy as np
import torch
from detectron2.data import DatasetMapper, build_detection_train_loader
from detectron2.data import transforms as T
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.engine import AMPTrainer, HookBase, SimpleTrainer, hooks
from detectron2.modeling import build_model
from detectron2.solver.lr_scheduler import LRMultiplier
from detectron2.structures import BoxMode
from detectron2.utils.events import EventStorage
from fvcore.common.param_scheduler import ParamScheduler
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler

from normbench.core.errors import InputError
from normbench.hooks.methods import Method
from normbench.training.optimizer import set_lr
from tasks.coco.annotations import Image
from tasks.coco.backbone import Backbone
from tasks.coco.batch_order import Draw, draws
from tasks.coco.design import Design
from tasks.coco.detectron2_parts import config
from tasks.coco.monitor import Monitor
from tasks.coco.norm_sites import finish
from tasks.coco.recipe import Recipe
from tasks.coco.samples import Readable, Unreadable, compressed, workers

NAME = f"detectron2 {detectron2.__version__}"
Batch = list[dict[str, Any]]
logging.getLogger("detectron2").setLevel(logging.CRITICAL)  # what it would say stands in the record


def build(design: Design, method: Method, params: Any, recipe: Recipe, classes: int) -> nn.Module:
    """The detector, with `.sites`, `.method` and `.method_params`. Raises Refused where the method cannot stand."""
    detector = build_model(config(design, method, params, recipe, classes))
    heads = [detector.roi_heads.box_head, *([detector.roi_heads.mask_head] if design.masks else [])]
    resize = {"short_edge_length": [recipe.test_side], "max_size": recipe.max_side}
    detector.test_resize = T.ResizeShortestEdge(**resize, sample_style="choice")
    return finish(detector, backbone_of(detector), [detector.backbone.places, *(head.places for head in heads)])


def backbone_of(detector: nn.Module) -> Backbone:
    return detector.backbone.bottom_up.body


def losses(detector: nn.Module, batch: Batch) -> dict[str, Tensor]:
    with EventStorage():
        return detector(batch)


class Drawn(Dataset):
    """What stands at a Draw, through detectron2's mapper; its augmentations draw from the Draw's own seed."""

    def __init__(self, readable: Readable, design: Design, recipe: Recipe):
        self.readable, self.masks, self.recipe = readable, design.masks, recipe
        polygons = all(isinstance(one.segmentation, list) for image in readable.images for one in image.objects if not one.crowd)
        self.format = "polygon" if polygons else "bitmask"  # detectron2 takes one kind at a time

    def __len__(self) -> int:
        return len(self.readable.images)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        recipe, flip = self.recipe, 1.0 if draw.flip else 0.0
        mapper = DatasetMapper(
            is_train=True,
            augmentations=[T.ResizeShortestEdge(recipe.sides, recipe.max_side, "choice"), T.RandomFlip(prob=flip)],
            image_format="RGB",
            use_instance_mask=self.masks,
            instance_mask_format=self.format,
        )
        return self.readable.first(draw.index, lambda number: _mapped(mapper, self.readable.images[number], draw.seed))[1]


def _mapped(mapper: DatasetMapper, image: Image, seed: int) -> dict[str, Any]:
    np.random.seed(seed)  # detectron2's transforms draw from the global generator
    annotations = [
        {
            "bbox": list(one.box),
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": one.category,
            "segmentation": compressed(one.segmentation, image.height, image.width),
        }
        for one in image.objects
        if not one.crowd
    ]
    entry = {"file_name": str(image.path), "height": image.height, "width": image.width, "annotations": annotations}
    try:
        return mapper(entry)
    except (OSError, SyntaxError, SizeMismatchError) as error:
        raise Unreadable(f"{image.path}: {error}") from error


class Order(Sampler):
    """The Draws of all batches from a step on, one after the other."""

    def __init__(self, batches: Iterable[list[Draw]]):
        self.batches = batches

    def __iter__(self) -> Iterator[Draw]:
        for batch in self.batches:
            yield from batch


def batches(readable: Readable, design: Design, recipe: Recipe, seed: int, start: int, device: torch.device) -> Iterator[Batch]:
    """The training batches from step `start` on, by detectron2's loader; the order is ours, so that it can be taken up anywhere."""
    size = min(recipe.batch_size, len(readable.images))
    loader = build_detection_train_loader(
        Drawn(readable, design, recipe),
        mapper=None,  # it stands in Drawn, which knows the Draw
        sampler=Order(draws(readable.images, size, recipe.flip, seed, start)),
        total_batch_size=size,
        aspect_ratio_grouping=False,  # the order groups by aspect already
        num_workers=workers(device),
        seed=seed,  # else it would draw from the generator that the model draws from, once more after a resume
    )
    return iter(loader)


class Schedule(ParamScheduler):
    """The recipe's learning rate over its peak, at a share of the training."""

    def __init__(self, recipe: Recipe, total: int):
        self.recipe, self.total = recipe, total

    def __call__(self, where: float) -> float:
        return self.recipe.lr_at(round(where * self.total), self.total) / self.recipe.lr


class Watching(HookBase):
    """Tells the monitor what happens in detectron2's trainer."""

    def __init__(self, monitor: Monitor):
        self.monitor = monitor

    def after_backward(self) -> None:
        self.monitor.after_backward(getattr(self.trainer, "grad_scaler", None))

    def after_step(self) -> None:
        found = self.trainer.storage.latest()
        self.monitor.after_step(self.trainer.iter + 1, {name: value for name, (value, _) in found.items() if name.startswith("loss_")})


def fit(
    detector: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, source: Callable[[int], Iterator[Batch]], monitor: Monitor
) -> None:
    """Train to the end of the budget, or until `monitor` ends it."""
    set_lr(optimizer, recipe.lr, recipe.lr)  # what detectron2's schedule multiplies
    trainer = _trainer(detector, optimizer, recipe, monitor.device)
    schedule = LRMultiplier(optimizer, Schedule(recipe, monitor.total), monitor.total)
    trainer.register_hooks([hooks.LRScheduler(optimizer, schedule), Watching(monitor)])
    start = monitor.resume({"trainer": trainer})
    trainer.data_loader = source(start)
    detector.train()
    try:
        trainer.train(start, monitor.total)
    except FloatingPointError:  # detectron2 looks at losses and proposals before we do
        monitor.end(trainer.iter + 1, "the training loss is not finite")


def _trainer(detector: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, device: torch.device) -> SimpleTrainer:
    if recipe.precision == "float32":
        return SimpleTrainer(detector, None, optimizer)
    if device.type != "cuda":
        raise InputError(f"recipe: precision: detectron2 trains with {recipe.precision} on a GPU only; float32 would do")
    half = torch.float16 if recipe.precision == "amp_float16" else torch.bfloat16
    return AMPTrainer(detector, None, optimizer, precision=half, grad_scaler=torch.amp.GradScaler("cuda", enabled=half is torch.float16))


@torch.no_grad()
def predict(detector: nn.Module, readable: Readable, number: int, device: torch.device) -> dict[str, Tensor]:
    """What is found in one image: boxes (n, 4) as corners, labels (n,) from 0 up, scores (n,), masks (n, height, width) bool."""
    detector.eval()
    image, pixels = readable.at(number)
    resized = detector.test_resize.get_transform(pixels).apply_image(pixels)
    given = {"image": torch.as_tensor(np.ascontiguousarray(resized.transpose(2, 0, 1))), "height": image.height, "width": image.width}
    found = detector([given])[0]["instances"]
    masks = {"masks": found.pred_masks} if found.has("pred_masks") else {}
    return {"boxes": found.pred_boxes.tensor, "labels": found.pred_classes, "scores": found.scores, **masks}
