"""The coco task's data: digit scenes in COCO's format, annotation files that are broken, and the order of training images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from detectors import CPU, RECIPE, an_arm, small_scenes
from facts import mistake
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from pycocotools import mask as rle
from pycocotools.coco import COCO

from tasks.coco import adapter, data, embedded, torchvision_engine
from tasks.coco.annotations import EXPECTED, Image, Object, read_split
from tasks.coco.batch_order import draws
from tasks.coco.design import read_design
from tasks.coco.recipe import Recipe
from tasks.coco.samples import TRIES, Readable, binary_mask, targets

# Every published number on the scenes hangs on these pictures: a change of them must be meant.
DATA_SHA256 = "8979ec5b81600c2471bfc9029239e888cbb245af23855f9a0091fd0d945fd47a"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / embedded.DATASET
    embedded.make(folder)
    return folder


@pytest.fixture
def few(tmp_path) -> Path:
    return small_scenes(tmp_path)


def rewrite(folder: Path, change, split: str = "train2017") -> Path:
    """Apply `change` to the content of an annotation file."""
    path = folder / "annotations" / f"instances_{split}.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content) or content))
    return path


# Scenes


@pytest.mark.slow
def test_scenes_are_the_published_ones_and_made_twice_the_same(scenes, tmp_path):
    assert data.data_sha256(embedded.DATASET, scenes) == DATA_SHA256
    small_scenes(tmp_path / "a"), small_scenes(tmp_path / "b")
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in "ab")
    assert one == other and len(one) == 12 + 3


@pytest.mark.parametrize("split, pictures", [("train2017", 400), ("val2017", 100)])
def test_pycocotools_reads_the_scenes_and_finds_what_they_promise(scenes, split, pictures):
    coco = COCO(str(scenes / "annotations" / f"instances_{split}.json"))
    entries = list(coco.anns.values())
    digits = [e for e in entries if not e["iscrowd"]]
    assert len(coco.imgs) == pictures and len(coco.cats) == 5
    assert sorted(coco.cats) != list(range(1, 6))  # the ids have holes, as COCO's
    per_picture = [sum(not e["iscrowd"] for e in coco.imgToAnns[i]) for i in coco.imgs]
    assert max(per_picture) == 6 and sorted(set(per_picture))[-6:] == [1, 2, 3, 4, 5, 6]
    kinds = {
        type(e["segmentation"]).__name__ + type(e["segmentation"]["counts"]).__name__
        if e["iscrowd"] or isinstance(e["segmentation"], dict)
        else "polygons"
        for e in entries
    }
    assert kinds == {"polygons", "dictstr", "dictlist"} and any(e["iscrowd"] for e in entries)
    heights = np.array([e["bbox"][3] for e in digits])
    assert np.quantile(heights, 0.95) / np.quantile(heights, 0.05) > 3  # two octaves of sizes, less where digits hide each other
    for entry in entries[:60]:
        mask = coco.annToMask(entry)
        image = coco.imgs[entry["image_id"]]
        assert mask.shape == (image["height"], image["width"]) and entry["area"] == mask.sum() > 0
        assert entry["bbox"] == rle.toBbox(rle.encode(np.asfortranarray(mask))).tolist()
    overlapping = sum(
        bool(np.triu(rle.iou([e["bbox"] for e in es], [e["bbox"] for e in es], [0] * len(es)), 1).any())
        for es in coco.imgToAnns.values()
        if len(es) > 1
    )
    assert overlapping > pictures / 10


def test_digits_of_val_are_in_no_picture_of_train():
    from tasks.images.handwritten import split_digits

    parts = split_digits(np.repeat(np.arange(10), 100)).values()
    train, test = (set(part.tolist()) for part in parts)
    assert not train & test


@pytest.mark.parametrize("breaks, state", [(lambda p: p.unlink(), "missing"), (lambda p: p.write_bytes(p.read_bytes()[:50]), "damaged")])
def test_a_damaged_scene_is_one_sentence(few, breaks, state):
    path = few / "val2017" / "000000000002.png"
    breaks(path)
    with mistake(path, state, "delete", "`snakemake all`"):
        data.prepare(embedded.DATASET, few)


# Broken files: one sentence


def entry(**change):
    return lambda content: content["annotations"][0].update(change)


@pytest.mark.parametrize(
    "change, facts",
    [
        (lambda c: c.pop("annotations") and None, ["'annotations'", "missing"]),
        (lambda c: c.update(images=[]), ["no image"]),
        (lambda c: c.update(annotations=[]), ["no annotation"]),
        (lambda c: [e.update(bbox=[0, 0, 0, 0]) for e in c["annotations"]] and None, ["none", "annotations"]),
        (lambda c: c["images"].append(dict(c["images"][0])), ["images", "id 1", "twice"]),
        (lambda c: c["images"][0].pop("height") and None, ["height"]),
        (lambda c: c["categories"].append(dict(c["categories"][0])), ["categories", "id", "twice"]),
        (lambda c: [1, 2], ["missing", "COCO"]),
    ],
    ids=["no list", "no image", "no annotation", "no box at all", "image twice", "no height", "category twice", "a list"],
)
def test_a_broken_annotation_file_is_one_sentence(few, change, facts):
    path = rewrite(few, change)
    with mistake(path, *facts):
        read_split(few, "train2017")


def test_an_annotation_file_that_is_missing_or_no_json_is_one_sentence(few):
    path = few / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text()[:-200])
    with mistake(path, "JSON"):
        read_split(few, "train2017")
    path.unlink()
    with mistake(path, "missing", EXPECTED):
        read_split(few, "train2017")
    with mistake(few.parent / "coco", "missing", EXPECTED, "data=FOLDER"):
        data.prepare("coco", few.parent / "coco")


# Broken entries: left out and counted


@pytest.mark.parametrize(
    "change, reason, says",
    [
        (entry(image_id=999), "no image", "1 of an image that the file does not list"),
        (entry(category_id=4), "no category", "1 of a category that the file does not list"),
        (entry(bbox=[1, 2, 3]), "no box", "1 without a box"),
        (entry(bbox=[500, 5, 10, 10]), "outside", "1 with a box outside its image"),
        (entry(bbox=[5, 5, 10, 0]), "outside", "1 with a box outside its image"),
        (entry(segmentation=[[1, 1, 9, 9]]), "no mask", "1 with a mask without area"),
        (entry(segmentation=[[1, 1, 5, 5, 9, 9]]), "no mask", "1 with a mask without area"),
        (entry(segmentation={"size": [8, 8], "counts": [64]}), "no mask", "1 with a mask without area"),
        (entry(segmentation=[]), "no mask", "1 with a mask without area"),
    ],
    ids=["image", "category", "three numbers", "outside", "no height", "two corners", "a line", "no ones", "no mask"],
)
def test_an_entry_that_cannot_be_is_left_out_counted_and_said(few, change, reason, says, capsys):
    before = len(read_split(few, "train2017").truth["annotations"])
    rewrite(few, change)
    split = read_split(few, "train2017")
    assert split.skipped[reason] == 1 and len(split.truth["annotations"]) == before - 1
    assert says in split.report() and f"of {before} annotations" in split.report()
    assert sum(len(image.objects) for image in split.images) == before - 1


def test_a_box_over_the_edge_is_clipped_and_counted_but_the_truth_keeps_it(few):
    rewrite(few, entry(bbox=[-20, -10, 500, 500]))
    split = read_split(few, "train2017")
    image = split.images[0]
    assert image.objects[0].box == (0, 0, image.width, image.height)
    assert split.skipped == {"clipped": 1} and "clipped 1 boxes" in split.report()
    assert split.truth["annotations"][0]["bbox"] == [-20, -10, 500, 500]


def test_categories_are_numbered_without_the_holes_of_their_ids(few):
    split = read_split(few, "train2017")
    assert split.category_ids == list(embedded.CATEGORIES) and split.categories == [str(d) for d in range(5)]
    for image in split.images:
        for one, raw in zip(image.objects, [e for e in split.truth["annotations"] if e["image_id"] == image.id], strict=True):
            assert split.category_ids[one.category] == raw["category_id"]


# Images


def test_an_image_that_is_missing_of_another_size_or_none_is_one_sentence_before_anything_trains(few, tmp_path):
    folder = tmp_path / "coco"
    shutil.copytree(few, folder)
    path = folder / "train2017" / "000000000001.png"
    Picture.new("RGB", (7, 9)).save(path)
    with mistake(path, "7 x 9", "instances_train2017.json"):
        data.prepare("coco", folder)
    path.write_bytes(b"no picture")
    with mistake(path, "no image", "replace"):
        data.prepare("coco", folder)
    path.unlink()
    with mistake(path, "missing", "1 of 12", "instances_train2017.json"):
        data.prepare("coco", folder)


def test_an_image_that_cannot_be_read_when_its_turn_comes_is_replaced_counted_and_said_once(few, capsys):
    images = [image for image in read_split(few, "train2017").images if image.trains]
    images[3].path.write_bytes(images[3].path.read_bytes()[:200])
    readable, recipe = Readable(images), Recipe(**{**RECIPE, "batch_size": 6})
    source = torchvision_engine.batches(readable, read_design(an_arm().model), recipe, 0, 0, CPU)
    for _ in range(6):
        pictures, found = next(source)
        assert len(pictures) == len(found) == 6
    assert readable.lost == {images[3].path} and capsys.readouterr().err.count("left out") == 1
    assert readable.at(3)[0] is images[4]


def test_where_no_image_can_be_read_it_is_one_sentence_and_no_endless_loop(tmp_path):
    images = [Image(i, tmp_path / f"{i}.png", 8, 8) for i in range(3)]
    with mistake(TRIES, "cannot be read"):
        Readable(images).at(0)


def test_crowds_are_in_the_truth_and_not_in_the_targets(scenes):
    split = read_split(scenes, "val2017")
    image = next(image for image in split.images if any(one.crowd for one in image.objects) and image.trains)
    found = targets(image, masks=True, flip=False)
    assert len(found["labels"]) == sum(not one.crowd for one in image.objects) < len(image.objects)


def test_a_mirrored_target_is_that_of_the_mirrored_picture():
    one = Object(2, (1.0, 2.0, 3.0, 4.0), [[1, 2, 4, 2, 4, 6, 1, 6]], False)
    plain, mirrored = (targets(Image(1, Path(), 8, 10, [one]), True, flip) for flip in (False, True))
    assert plain["boxes"].tolist() == [[1, 2, 4, 6]] and mirrored["boxes"].tolist() == [[6, 2, 9, 6]]
    assert mirrored["masks"].equal(plain["masks"].flip(-1)) and plain["labels"].tolist() == [3]
    assert binary_mask(one.segmentation, 8, 10)[2:6, 1:4].all() and plain["masks"].sum() == 12


# Order


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 9), st.integers(0, 3), st.integers(0, 30))
def test_batches_depend_on_seed_and_step_alone_and_an_epoch_shows_no_image_twice(count, size, seed, start):
    images = [Image(i, Path(), 8 + i % 3 * 4, 12) for i in range(count)]
    first = draws(images, size, True, seed)
    whole = [next(first) for _ in range(start + 3)]
    assert [next(draws(images, size, True, seed, start + i)) for i in range(3)] == whole[start:]
    size = min(size, count)
    epoch = [next(draws(images, size, True, seed, i)) for i in range(count // size)]
    seen = [draw.index for batch in epoch for draw in batch]
    assert len(set(seen)) == len(seen) == count // size * size and all(len(batch) == size for batch in epoch)


def test_wide_and_tall_images_stand_in_batches_of_their_own():
    images = [Image(i, Path(), 10, 20 if i % 2 else 5) for i in range(40)]
    source = draws(images, 4, False, 0)
    batches = [next(source) for _ in range(10)]
    assert all(len({draw.index % 2 for draw in batch}) == 1 for batch in batches)
    assert not any(draw.flip for batch in batches for draw in batch)
    assert batches != [next(draws(images, 4, False, 1, i)) for i in range(10)]


def test_skipped_annotations_stand_in_the_record(few):
    rewrite(few, entry(image_id=999))
    rewrite(few, entry(bbox=[500, 5, 10, 10]), "val2017")
    data._load.cache_clear()
    from detectors import context

    metrics = adapter.run(an_arm(steps=1), 0, context(few.parent)).metrics
    assert metrics["skipped_annotations"] == 2 and metrics["skipped_images"] == 0
