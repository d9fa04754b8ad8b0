"""Average precision as COCO defines it, by faster-coco-eval, in the digits in which it and pycocotools agree.

pycocotools divides by the number of detections plus 2^-52, which is not 1 where there is one, and faster-coco-eval does not:
their numbers differ in the sixteenth digit. Rounded to DIGITS they are equal to the last bit, which tests hold.
"""

from collections.abc import Iterable
from typing import Any

import faster_coco_eval
import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as rle
from torch import Tensor

from tasks.coco.annotations import Split

EVALUATOR = f"faster-coco-eval {faster_coco_eval.__version__}"
# The first six of COCO's twelve numbers: all thresholds from .5 to .95, one of them, and by size (below 32^2, to 96^2, above, in pixels).
NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
DIGITS = 12  # after the point, of numbers between 0 and 1
KINDS = {"box": "bbox", "mask": "segm"}


def as_results(found: dict[str, Tensor], image_id: int, category_ids: list[int]) -> list[dict[str, Any]]:
    """What was found in an image, in COCO's format of results."""
    boxes = found["boxes"].cpu().double().numpy()
    boxes[:, 2:] -= boxes[:, :2]
    results = [
        {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
        for box, label, score in zip(boxes.tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
    ]
    for result, mask in zip(results, found["masks"].cpu().numpy() if "masks" in found else (), strict="masks" in found):
        packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        result["segmentation"] = {"size": packed["size"], "counts": packed["counts"].decode()}
    return results


def average_precision(split: Split, results: Iterable[dict[str, Any]], masks: bool) -> dict[str, float]:
    """box_ap, box_ap50, ..., and with masks mask_ap, ..., in percent. A size of which there is no object has no number."""
    results = list(results)
    metrics = {}
    for kind in ("box", "mask") if masks else ("box",):
        for name, value in zip(NAMES, summary(split.truth, results, KINDS[kind]), strict=True):
            if value >= 0:
                metrics[f"{kind}_{name}"] = 100 * float(value)
    return metrics


def summary(truth: dict[str, Any], results: list[dict[str, Any]], kind: str) -> np.ndarray:
    """The first six of COCOeval's numbers to DIGITS, -1 where there is nothing to find. Where nothing was found they are 0."""
    if kind == "segm":  # else an area would be the box's
        results = [{key: value for key, value in one.items() if key != "bbox"} for one in results]
    annotated = COCO(truth, use_deepcopy=True)
    evaluator = COCOeval_faster(annotated, annotated.loadRes(results), kind, print_function=lambda *_: None)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return np.round(np.asarray(evaluator.stats[: len(NAMES)]), DIGITS)
