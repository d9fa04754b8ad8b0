"""Average precision is COCO's: pycocotools' numbers to the last recorded digit, and what the thresholds and sizes mean."""

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from detectors import small_scenes
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tasks.coco import evaluation
from tasks.coco.annotations import Split, read_split
from tasks.coco.embedded import DATASET
from tasks.coco.samples import targets


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return small_scenes(tmp_path_factory.mktemp("data")).parent


def results_near(split, rng, count: int = 3) -> list[dict]:
    """Detections around what is there: shifted, doubled, of wrong classes, with ties among the scores."""
    results = []
    for image in split.images:
        found = targets(image, masks=True, flip=False) if image.trains else None
        for i in range(0 if found is None else len(found["labels"])):
            for _ in range(count):
                shift = torch.from_numpy(rng.normal(0, 2, 4)).float()
                label = int(found["labels"][i]) - 1 if rng.random() < 0.8 else int(rng.integers(5))
                mask = torch.roll(found["masks"][i], tuple(rng.integers(-2, 3, 2)), (0, 1)).bool()
                one = {
                    "boxes": (found["boxes"][i] + shift)[None],
                    "labels": torch.tensor([label]),
                    "scores": torch.tensor([round(rng.random(), 1)]),
                }
                results += evaluation.as_results({**one, "masks": mask[None]}, image.id, split.category_ids)
    return results


def pycocotools_says(split, results: list[dict], kind: str) -> np.ndarray:
    truth = COCO()
    truth.dataset = split.truth
    truth.createIndex()
    given = [{key: value for key, value in one.items() if key != "bbox" or kind == "bbox"} for one in results]
    reference = COCOeval(truth, truth.loadRes(given), kind)
    reference.evaluate(), reference.accumulate(), reference.summarize()
    return np.round(reference.stats[:6], evaluation.DIGITS)


@pytest.mark.parametrize("seed", range(3))
def test_the_evaluator_gives_pycocotools_numbers_to_the_last_bit_of_what_is_recorded(tmp_path_factory, seed):
    split = read_split(small_scenes(tmp_path_factory.mktemp("eval"), train=1, val=40), "val2017")
    assert any(one.crowd for image in split.images for one in image.objects)
    results = results_near(split, np.random.default_rng(seed))
    for kind in ("bbox", "segm"):
        ours, reference = evaluation.summary(split.truth, results, kind), pycocotools_says(split, results, kind)
        assert ours.tolist() == reference.tolist() and 0.05 < ours[0] < 0.95


def test_the_numbers_are_the_same_where_images_are_evaluated_and_accumulated_apart(root, monkeypatch):
    """At once is the library's present default, with which its `accumulate` has nothing to do; the other way needs the call."""
    split = read_split(root / DATASET, "val2017")
    results = results_near(split, np.random.default_rng(0))
    at_once = evaluation.summary(split.truth, results, "bbox")
    monkeypatch.setattr(evaluation, "COCOeval_faster", partial(COCOeval_faster, separate_eval=True))
    assert evaluation.summary(split.truth, results, "bbox").tolist() == at_once.tolist() and at_once[0] > 0


def test_what_is_exactly_there_is_100_and_nothing_found_is_0(root):
    split = read_split(root / DATASET, "val2017")
    exact = []
    for image in split.images:
        found = targets(image, masks=True, flip=False)
        things = {
            "boxes": found["boxes"],
            "labels": found["labels"] - 1,
            "scores": torch.ones(len(found["labels"])),
            "masks": found["masks"].bool(),
        }
        exact += evaluation.as_results(things, image.id, split.category_ids)
    full, empty = evaluation.average_precision(split, exact, True), evaluation.average_precision(split, [], True)
    assert set(full.values()) == {100.0} and set(empty.values()) == {0.0} and full.keys() == empty.keys()
    assert "box_ap_large" not in full and "box_ap_small" in full  # no object is that large: a missing number, not a zero
    assert not any(name.startswith("mask") for name in evaluation.average_precision(split, exact, False))


def one_object(side: int) -> Split:
    """An image of 200 by 200 pixels with one square object, `side` pixels wide, at its upper left corner."""
    corners = [0, 0, side, 0, side, side, 0, side]
    shape = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, side, side], "area": side**2, "iscrowd": 0}
    truth = {
        "images": [{"id": 1, "width": 200, "height": 200}],
        "annotations": [{**shape, "segmentation": [corners]}],
        "categories": [{"id": 7, "name": "square"}],
    }
    return Split(Path("one.json"), [7], ["square"], [], truth, {})


def overlapping(side: int, box: float, mask: float) -> list[dict]:
    """A detection whose box and mask are these shares of the object, and so have these overlaps (IoU) with it."""
    held = torch.zeros(1, 200, 200, dtype=torch.bool)
    held[:, : round(side * mask), :side] = True
    found = {"boxes": torch.tensor([[0.0, 0.0, side, side * box]]), "labels": torch.tensor([0]), "scores": torch.tensor([0.9])}
    return evaluation.as_results({**found, "masks": held}, 1, [7])


@pytest.mark.parametrize("side, size", [(25, "small"), (50, "medium"), (100, "large")])
def test_each_number_is_that_of_its_threshold_and_size(side, size):
    """AP is 100 at each threshold that the overlap reaches: of 0.5, 0.55, ..., 0.95, a box at 0.62 reaches three, a mask at 0.84 seven."""
    split = one_object(side)
    before, results = copy.deepcopy(split.truth), overlapping(side, box=0.62, mask=0.84)
    found = evaluation.average_precision(split, results, masks=True)
    assert split.truth == before, "what evaluations compare with stays as it was read"
    expected = {"box_ap": 30.0, "box_ap50": 100.0, "box_ap75": 0.0, f"box_ap_{size}": 30.0}
    expected |= {"mask_ap": 70.0, "mask_ap50": 100.0, "mask_ap75": 100.0, f"mask_ap_{size}": 70.0}
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_detection_without_masks_is_a_box_alone():
    found = {"boxes": torch.tensor([[3.0, 5.0, 13.0, 25.0]]), "labels": torch.tensor([1]), "scores": torch.tensor([0.5])}
    assert evaluation.as_results(found, 4, [7, 9]) == [{"image_id": 4, "category_id": 9, "bbox": [3.0, 5.0, 10.0, 20.0], "score": 0.5}]
