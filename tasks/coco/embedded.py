"""digit_scenes: the embedded detection data, in the standard layout of COCO 2017, made offline in seconds.

    <folder>/manifest.json
    <folder>/annotations/instances_{train,val}2017.json
    <folder>/{train,val}2017/000000000001.png

scikit-learn's digits 0 to 4 on canvases (scenes.py), those of val2017 from digits that train2017 does not show. Two masks in
three are polygons, the others compressed RLE, crowds are uncompressed RLE; the ids of categories have holes. Source of the
digits: E. Alpaydin and C. Kaynak, doi:10.24432/C50P49, CC BY 4.0. No torch here.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import contour_generator
from PIL import Image
from pycocotools import mask as rle

from normbench.execution import manifest
from tasks.coco.scenes import Thing, scene
from tasks.images.handwritten import SOURCE, load_digits, split_digits

DATASET = "digit_scenes"
PICTURES = {"train": 400, "val": 100}
SEED = 20170901  # part of the dataset, not a run's choice
CATEGORIES = (1, 2, 3, 5, 7)  # ids of the digits 0 to 4: few enough to be told apart after some hundred steps


def make(folder: Path) -> dict[str, Any]:
    """Make the dataset in `folder` unless it is there, whole or not at all; returns its manifest."""
    return manifest.make(DATASET, folder, _write)


def _write(folder: Path) -> dict[str, Any]:
    """All files; returns what the manifest says. data_sha256 is of pixels and annotations, whatever the version of zlib."""
    digits, labels = load_digits()
    hashed = hashlib.sha256()
    for split, numbers in zip(PICTURES, split_digits(labels).values(), strict=True):
        numbers = numbers[labels[numbers] < len(CATEGORIES)]
        (folder / f"{split}2017").mkdir(parents=True)
        (folder / "annotations").mkdir(exist_ok=True)
        content = _header()
        for i in range(PICTURES[split]):
            pixels, things = scene(digits[numbers], labels[numbers], np.random.default_rng([SEED, len(split), i]))
            image = {"id": i + 1, "file_name": f"{i + 1:012d}.png", "height": pixels.shape[0], "width": pixels.shape[1]}
            content["images"].append(image)
            Image.fromarray(pixels).save(folder / f"{split}2017" / image["file_name"])
            hashed.update(f"{split} {i} {pixels.shape}\n".encode() + pixels.tobytes())
            for thing in things:
                _annotate(content["annotations"], thing, image["id"])
        text = json.dumps(content)
        hashed.update(text.encode())
        (folder / "annotations" / f"instances_{split}2017.json").write_text(text + "\n")
    return {"data_sha256": hashed.hexdigest(), "license": "CC BY 4.0", "source": SOURCE}


def _header() -> dict[str, Any]:
    categories = [{"id": id_, "name": str(digit), "supercategory": "digit"} for digit, id_ in enumerate(CATEGORIES)]
    return {"info": {"description": SOURCE}, "licenses": [], "categories": categories, "images": [], "annotations": []}


def _annotate(annotations: list[dict], thing: Thing, image: int) -> None:
    """Append what COCO says of one object; nothing where no pixel of it is left. A hole in a digit belongs to it, as outlines have none."""
    size = list(thing.mask.shape)
    outlines = outline(thing.mask)
    if not outlines and not thing.crowd:
        return
    packed = rle.encode(np.asfortranarray(thing.mask)) if thing.crowd else rle.merge(rle.frPyObjects(outlines, *size))
    if thing.crowd:
        segmentation: Any = {"size": size, "counts": uncompressed(rle.decode(packed))}
    elif len(annotations) % 3 == 2:
        segmentation = {"size": size, "counts": packed["counts"].decode()}
    else:
        segmentation = outlines
    annotations.append(
        {
            "id": len(annotations) + 1,
            "image_id": image,
            "category_id": CATEGORIES[thing.label],
            "iscrowd": int(thing.crowd),
            "area": float(rle.area(packed)),
            "bbox": rle.toBbox(packed).tolist(),
            "segmentation": segmentation,
        }
    )


def outline(mask: np.ndarray) -> list[list[float]]:
    """Closed outer outlines of a mask (height, width) as [x, y, x, y, ...] in pixels; those of single pixels and holes are left out."""
    lines = contour_generator(z=np.pad(mask, 1).astype(float)).lines(0.5)
    kept = []
    for line in lines:
        x, y = (line - 0.5).T  # a pixel's center, without the border, stands at its index plus a half
        enclosed = 0.5 * float(x[:-1] @ y[1:] - x[1:] @ y[:-1])
        if enclosed > 2:  # counter to a hole's, around more than two pixels
            kept.append((line[:-1] - 0.5).ravel().tolist())
    return kept


def uncompressed(mask: np.ndarray) -> list[int]:
    """The runs of zeros and ones in turn, column by column, zeros first: COCO's uncompressed RLE of a mask (height, width)."""
    flat = mask.ravel(order="F").astype(np.int8)
    starts = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *starts, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
