"""What a detector finds, to look at: held-out images with what is in them above and what was found below, as one small PNG."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from torch import Tensor

from normbench.core.files import whole_file
from tasks.coco.annotations import Split
from tasks.coco.samples import Readable, binary_mask

SHOWN = 4  # images: the first ones that have at least two objects
SIDE = 160  # pixels of a cell
SURE = 0.5  # a score from which on something is drawn
COLORS_KEPT = 128  # so that the file stays small
# Okabe and Ito's, one a class in turn.
COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))

Drawing = tuple[int, tuple[float, float, float, float], np.ndarray | None]  # class, corners, mask


def draw(predict: Callable[[int], dict[str, Tensor]], readable: Readable, split: Split, path: Path) -> None:
    """Write the picture to `path`. predict(number): what is found in the image of that number."""
    numbers = [i for i, image in enumerate(split.images) if len(image.objects) > 1][:SHOWN]
    sheet = Picture.new("RGB", (len(numbers) * SIDE, 2 * SIDE), "white")
    for column, number in enumerate(numbers):
        image, pixels = readable.at(number)
        truth = [
            (one.category, (one.box[0], one.box[1], one.box[0] + one.box[2], one.box[1] + one.box[3]), _mask(one.segmentation, image))
            for one in image.objects
            if not one.crowd
        ]
        for row, things in enumerate((truth, _found(predict(number)))):
            sheet.paste(_cell(pixels, things, split.categories), (column * SIDE, row * SIDE))
    with whole_file(path) as file:
        sheet.quantize(COLORS_KEPT).save(file, format="PNG", optimize=True)


def _mask(segmentation, image) -> np.ndarray | None:
    return binary_mask(segmentation, image.height, image.width).astype(bool) if segmentation else None


def _found(found: dict[str, Tensor]) -> list[Drawing]:
    """The sure ones, the surest drawn last and on top."""
    sure = [i for i, score in enumerate(found["scores"].tolist()) if score >= SURE][::-1]
    masks = found["masks"].cpu().numpy() if "masks" in found else None
    return [(int(found["labels"][i]), tuple(found["boxes"][i].tolist()), None if masks is None else masks[i]) for i in sure]


def _cell(pixels: np.ndarray, things: list[Drawing], names: list[str]) -> Picture.Image:
    """One image with outlined boxes and tinted masks, enlarged or reduced to fit a cell."""
    scale = SIDE / max(pixels.shape[:2])
    tinted = pixels.astype(float)
    for label, _, mask in things:
        if mask is not None:
            tinted[mask] = 0.5 * tinted[mask] + 0.5 * np.array(COLORS[label % len(COLORS)])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    cell = Picture.fromarray(tinted.astype(np.uint8)).resize(size, Picture.Resampling.NEAREST if scale > 1 else Picture.Resampling.BILINEAR)
    pen = ImageDraw.Draw(cell)
    for label, corners, _ in things:
        left, top, right, bottom = (round(c * scale) for c in corners)
        pen.rectangle([left, top, max(left, right - 1), max(top, bottom - 1)], outline=COLORS[label % len(COLORS)], width=2)
        pen.text((left + 3, top + 1), names[label], fill="white", stroke_width=1, stroke_fill="black")
    return cell
