"""COCO annotation files, read and checked: one sentence where a file is broken, a counted skip where one entry of it is.

Torch-free. Boxes are (x, y, width, height) in pixels, masks polygons or run lengths, as COCO's format has them.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normbench.core.errors import InputError

SPLITS = ("train2017", "val2017")
EXPECTED = "COCO 2017 belongs there as annotations/instances_{train,val}2017.json, train2017/*.jpg and val2017/*.jpg"
# Why an entry does not count, in the words of the report.
REASONS = {
    "no image": "of an image that the file does not list",
    "no category": "of a category that the file does not list",
    "no box": "without a box or with one that is no four numbers",
    "outside": "with a box outside its image",
    "no mask": "with a mask without area",
}


@dataclass
class Object:
    """category: 0-based, in the order of the file's ids, which may have holes. box: clipped to the image."""

    category: int
    box: tuple[float, float, float, float]
    segmentation: Any
    crowd: bool


@dataclass
class Image:
    id: int
    path: Path
    height: int
    width: int
    objects: list[Object] = field(default_factory=list)

    @property
    def trains(self) -> bool:
        """Whether there is anything to learn from: an image without objects, or with crowds alone, has nothing."""
        return any(not one.crowd for one in self.objects)


@dataclass
class Split:
    """One split of a dataset.

    category_ids, categories: the file's ids in ascending order, and their names. images: all of them, in the order of the file.
    truth: the file's content without what was left out: what the evaluator compares with. skipped: reason -> how many entries.
    """

    path: Path
    category_ids: list[int]
    categories: list[str]
    images: list[Image]
    truth: dict[str, Any]
    skipped: dict[str, int]

    def report(self) -> str:
        """What was left out, in one sentence; "" where nothing was."""
        parts = [f"{count} {REASONS[reason]}" for reason, count in self.skipped.items() if reason in REASONS]
        clipped = self.skipped.get("clipped", 0)
        said = [f"left out {', '.join(parts)}"] if parts else []
        said += [f"clipped {clipped} boxes that reach over the edge of their image"] if clipped else []
        return (
            f"data: {self.path.name}: of {len(self.truth['annotations']) + sum(self._lost())} annotations {' and '.join(said)}"
            if said
            else ""
        )

    def _lost(self) -> list[int]:
        return [count for reason, count in self.skipped.items() if reason in REASONS]


def read_split(folder: Path, split: str, masks: bool = True) -> Split:
    """The split of the dataset in `folder`; masks: whether an object without one is left out."""
    path = Path(folder) / "annotations" / f"instances_{split}.json"
    content = _content(path)
    images = _images(path, content["images"], Path(folder) / split)
    ids, names = _categories(path, content["categories"])
    position = {id_: i for i, id_ in enumerate(ids)}
    kept, skipped = [], {}
    for entry in content["annotations"]:
        reason = _add(entry, images, position, masks)
        if reason not in ("", "clipped"):
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
        kept.append(entry)
    if not kept:
        why = (
            f"none of its {len(content['annotations'])} annotations can be used"
            if content["annotations"]
            else "it has no annotation at all"
        )
        raise InputError(f"data: {path}: {why}, so there is nothing to find in its images")
    return Split(path, ids, names, list(images.values()), {**content, "annotations": kept}, skipped)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        raise InputError(f"data: {path} is missing; {EXPECTED}") from None
    except ValueError as error:
        raise InputError(f"data: {path} is cut short or no JSON ({error}); get the file again") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise InputError(f"data: {path}: the list {key!r} is missing, so this is no file of COCO's instances; {EXPECTED}")
    return content


def _images(path: Path, entries: list[dict], folder: Path) -> dict[int, Image]:
    images: dict[int, Image] = {}
    for entry in entries:
        try:
            image = Image(int(entry["id"]), folder / entry["file_name"], int(entry["height"]), int(entry["width"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"data: {path}: images: {str(entry)[:80]!r} has no id, file_name, height and width") from None
        if image.id in images:
            raise InputError(f"data: {path}: images: the id {image.id} stands twice")
        images[image.id] = image
    if not images:
        raise InputError(f"data: {path}: it lists no image; {EXPECTED}")
    return images


def _categories(path: Path, entries: list[dict]) -> tuple[list[int], list[str]]:
    try:
        names = {int(entry["id"]): str(entry["name"]) for entry in entries}
    except (KeyError, TypeError, ValueError):
        raise InputError(f"data: {path}: categories: one of them has no id and name") from None
    if len(names) != len(entries) or not names:
        raise InputError(f"data: {path}: categories: {'an id stands twice' if names else 'there is none'}")
    return sorted(names), [names[id_] for id_ in sorted(names)]


def _add(entry: dict, images: dict[int, Image], position: dict[int, int], masks: bool) -> str:
    """Add an annotation to its image; returns "", "clipped", or the reason why it is left out."""
    image = images.get(entry.get("image_id"))
    if image is None:
        return "no image"
    if entry.get("category_id") not in position:
        return "no category"
    try:
        x, y, width, height = (float(value) for value in entry["bbox"])
    except (KeyError, TypeError, ValueError):
        return "no box"
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + width, image.width), min(y + height, image.height)
    if not (right > left and bottom > top):
        return "outside"
    crowd, segmentation = bool(entry.get("iscrowd")), entry.get("segmentation")
    if (masks or segmentation) and not _has_area(segmentation):
        return "no mask"
    image.objects.append(Object(position[entry["category_id"]], (left, top, right - left, bottom - top), segmentation, crowd))
    return "clipped" if right - left < width - 1 or bottom - top < height - 1 else ""


def _has_area(segmentation: Any) -> bool:
    """A polygon needs three corners that are not on one line; run lengths a run of ones."""
    if isinstance(segmentation, dict):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if not size or not counts:
            return False
        return isinstance(counts, str) or (sum(counts) == size[0] * size[1] and sum(counts[1::2]) > 0)
    return isinstance(segmentation, list) and any(_enclosed(polygon) > 0 for polygon in segmentation)


def _enclosed(polygon: Any) -> float:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return 0.0
    x, y = polygon[::2], polygon[1::2]
    return abs(sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(len(x)))) / 2
