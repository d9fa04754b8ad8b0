"""Images and what is in them as tensors, and what becomes of an image that cannot be read."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image as Picture
from pycocotools import mask as rle
from torch import Tensor

from normbench.core.errors import InputError
from tasks.coco.annotations import Image, Object

KEPT, SMALL = 2048, 3 * 256**2  # decoded images stay in memory where there are so few, and they are so small: the embedded ones
TRIES = 20  # images in a row that may be unreadable before it is no accident any more
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of intensities in 0..1, red first: those of our classifiers (tasks/imagenet)


T = TypeVar("T")


class Unreadable(Exception):
    """An image that cannot be decoded, or of another size than its annotations are for."""


def read_image(image: Image) -> np.ndarray:
    """(height, width, 3) uint8, red first. Raises Unreadable."""
    try:
        with Picture.open(image.path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
        raise Unreadable(f"{image.path}: {error}") from error
    if pixels.shape[:2] != (image.height, image.width):
        raise Unreadable(f"{image.path}: has {pixels.shape[1]} x {pixels.shape[0]} pixels in place of {image.width} x {image.height}")
    return pixels


class Readable:
    """Images by number; the next one in place of one that cannot be read, which is said once and counted in `lost`."""

    def __init__(self, images: list[Image]):
        self.images, self.lost = images, set[Path]()
        self._kept: dict[int, np.ndarray] = {}

    def first(self, index: int, read: Callable[[int], T]) -> tuple[Image, T]:
        """The image at `index`, or the next one behind it that read(its number) does not call Unreadable, and what was read."""
        for number in (i % len(self.images) for i in range(index, index + TRIES)):
            try:
                return self.images[number], read(number)
            except Unreadable as error:
                if self.images[number].path not in self.lost:
                    print(f"data: left out {error}", file=sys.stderr)
                self.lost.add(self.images[number].path)
        raise InputError(f"data: {TRIES} images in a row cannot be read, the first is {self.images[index].path}; replace these files")

    def at(self, index: int) -> tuple[Image, np.ndarray]:
        """The image and its pixels (height, width, 3) uint8, red first."""
        return self.first(index, self._pixels)

    def _pixels(self, number: int) -> np.ndarray:
        if number in self._kept:
            return self._kept[number]
        pixels = read_image(self.images[number])
        if len(self.images) <= KEPT and pixels.size <= SMALL:
            self._kept[number] = pixels
        return pixels


def compressed(segmentation: Any, height: int, width: int) -> Any:
    """Polygons without those that enclose nothing, or run lengths as pycocotools packs them."""
    if isinstance(segmentation, dict):
        return rle.frPyObjects(segmentation, height, width) if isinstance(segmentation["counts"], list) else segmentation
    return [polygon for polygon in segmentation if len(polygon) >= 6] if segmentation else segmentation


def binary_mask(segmentation: Any, height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of polygons or of run lengths, packed or not."""
    packed = compressed(segmentation, height, width)
    return rle.decode(packed if isinstance(packed, dict) else rle.merge(rle.frPyObjects(packed, height, width)))


def workers(device: torch.device) -> int:
    """Processes that load images: beside a GPU some, on a CPU none, because the training itself wants it."""
    return min(8, os.cpu_count() or 1) if device.type == "cuda" else 0


def objects_of(image: Image) -> list[Object]:
    """What is learned from: crowds are not, because nobody knows where one of them ends."""
    return [one for one in image.objects if not one.crowd]


def targets(image: Image, masks: bool, flip: bool) -> dict[str, Tensor]:
    """boxes (n, 4) as corners, labels (n,) from 1 up (0 is the background), masks (n, height, width) uint8."""
    objects = objects_of(image)
    boxes = torch.tensor([one.box for one in objects], dtype=torch.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    found = {"boxes": boxes, "labels": torch.tensor([1 + one.category for one in objects])}
    if masks:
        drawn = [binary_mask(one.segmentation, image.height, image.width) for one in objects]
        found["masks"] = torch.from_numpy(np.stack(drawn))
    if flip:
        boxes[:, [0, 2]] = image.width - boxes[:, [2, 0]]
        if masks:
            found["masks"] = found["masks"].flip(-1)
    return found
