"""The detectron2 engine beside detectron2 itself: its configuration files, its own model with its own norm, its loader."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectors import CPU, MODEL, RECIPE, an_arm, built, small_scenes

from normbench import load_method
from normbench.config.papers import read_paper
from normbench.config.tasks import read_task, recipe_schema
from normbench.core.schema import validated
from tasks.coco import adapter
from tasks.coco.annotations import read_split
from tasks.coco.batch_order import Draw, draws
from tasks.coco.design import read_design
from tasks.coco.recipe import Recipe
from tasks.coco.samples import Readable, targets

pytest.importorskip("detectron2", reason="its tests run wherever it imports; tests/conftest.py says so at the end")

from detectron2 import model_zoo
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.solver.lr_scheduler import LRMultiplier
from detectron2.utils.events import EventStorage

from tasks.coco import detectron2_engine as engine
from tasks.coco.detectron2_parts import config

# What our recipes and models have to have in common with detectron2's own files.
SAME = """MODEL.MASK_ON MODEL.FPN.OUT_CHANNELS MODEL.FPN.IN_FEATURES MODEL.FPN.FUSE_TYPE MODEL.BACKBONE.FREEZE_AT
    MODEL.ANCHOR_GENERATOR.SIZES MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS MODEL.RPN.IN_FEATURES MODEL.RPN.PRE_NMS_TOPK_TRAIN
    MODEL.RPN.PRE_NMS_TOPK_TEST MODEL.RPN.POST_NMS_TOPK_TRAIN MODEL.RPN.POST_NMS_TOPK_TEST MODEL.RPN.BATCH_SIZE_PER_IMAGE
    MODEL.ROI_HEADS.NAME MODEL.ROI_HEADS.IN_FEATURES MODEL.ROI_HEADS.NUM_CLASSES MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE
    MODEL.ROI_BOX_HEAD.NUM_CONV MODEL.ROI_BOX_HEAD.NUM_FC MODEL.ROI_BOX_HEAD.CONV_DIM MODEL.ROI_BOX_HEAD.FC_DIM
    MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION MODEL.ROI_MASK_HEAD.NUM_CONV MODEL.ROI_MASK_HEAD.CONV_DIM
    MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION INPUT.MIN_SIZE_TRAIN INPUT.MAX_SIZE_TRAIN INPUT.MIN_SIZE_TEST INPUT.MAX_SIZE_TEST
    TEST.DETECTIONS_PER_IMAGE SOLVER.IMS_PER_BATCH SOLVER.BASE_LR SOLVER.MOMENTUM SOLVER.WEIGHT_DECAY SOLVER.WEIGHT_DECAY_NORM
    SOLVER.GAMMA SOLVER.STEPS SOLVER.MAX_ITER SOLVER.WARMUP_ITERS"""
FASTER_LACKS = ("MODEL.ROI_MASK_HEAD.NUM_CONV",)  # a head that is not there


def whole_recipe(name: str) -> Recipe:
    return validated(recipe_schema("coco"), read_task("coco").recipes[name], name)


def setting(cfg, key: str):
    for part in key.split("."):
        cfg = cfg[part]
    return list(cfg) if isinstance(cfg, tuple) else cfg


@pytest.mark.parametrize(
    "file, model, recipe",
    [
        ("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", "mask_rcnn_r50_baseline", "1x_frozen"),
        ("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml", "mask_rcnn_r50_baseline", "3x_frozen"),
        ("COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml", "mask_rcnn_r101_baseline", "3x_frozen"),
        ("COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml", "faster_rcnn_r50_baseline", "1x_frozen"),
        ("COCO-Detection/faster_rcnn_R_101_FPN_3x.yaml", "faster_rcnn_r101_baseline", "3x_frozen"),
        ("Misc/mask_rcnn_R_50_FPN_3x_gn.yaml", "mask_rcnn_r50", "3x"),
        ("Misc/mask_rcnn_R_50_FPN_3x_syncbn.yaml", "mask_rcnn_r50", "3x"),
        ("Misc/scratch_mask_rcnn_R_50_FPN_3x_gn.yaml", "mask_rcnn_r50", "3x_scratch"),
    ],
)
def test_recipes_and_models_are_those_of_detectron2s_own_files(file, model, recipe):
    theirs = get_cfg()
    theirs.merge_from_file(model_zoo.get_config_file(file))
    design, method, made = read_design(read_task("coco").models[model]), load_method("batch_norm"), whole_recipe(recipe)
    ours = config(design, method, method.params(), made, classes=80)
    keys = [key for key in SAME.split() if design.masks or key not in FASTER_LACKS]
    assert {key: setting(ours, key) for key in keys} == {key: setting(theirs, key) for key in keys}
    assert design.backbone["depth"] == theirs.MODEL.RESNETS.DEPTH
    norms = {
        theirs.MODEL.FPN.NORM,
        theirs.MODEL.ROI_BOX_HEAD.NORM if design.box_convs else theirs.MODEL.FPN.NORM,
        theirs.MODEL.ROI_MASK_HEAD.NORM,
    }
    assert (norms == {""}) == (not design.norms_in_heads) and len(norms) == 1
    assert made.freeze_norm == (theirs.MODEL.RESNETS.NORM == "FrozenBN")


def test_the_learning_rate_is_detectron2s_at_every_step():
    made = whole_recipe("1x")
    theirs = get_cfg()
    theirs.merge_from_file(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"))
    from detectron2.solver import build_lr_scheduler

    rates = []
    for make in (lambda o: LRMultiplier(o, engine.Schedule(made, made.steps), made.steps), lambda o: build_lr_scheduler(theirs, o)):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=made.lr)
        schedule = make(optimizer)
        found = {}
        for step in (0, 1, 500, 999, 1000, 30000, 59999, 60000, 79999, 80000, 89999):
            schedule.last_epoch = step
            found[step] = schedule.get_lr()[0]
        rates.append(found)
    for step, rate in rates[0].items():  # detectron2 starts its warm-up at a thousandth and not at a step's share: a millionth apart
        assert rate == pytest.approx(rates[1][step], abs=2.1e-5), step
    assert [rates[0][s] == rates[1][s] for s in (1000, 60000, 80000)] == [True] * 3


# detectron2's own model


RENAMED = (
    (r"bottom_up\.body\.stem\.conv\.", "bottom_up.stem.conv1."),
    (r"bottom_up\.body\.stem\.norm\.", "bottom_up.stem.conv1.norm."),
    (r"bottom_up\.body\.layer(\d)\.", lambda m: f"bottom_up.res{int(m[1]) + 1}."),
    (r"branch\.norm(\d)\.", r"conv\1.norm."),
    (r"branch\.conv", "conv"),
    (r"shortcut\.conv\.", "shortcut."),
)


def their_name(name: str) -> str:
    for ours, theirs in RENAMED:
        name = re.sub(ours, theirs, name)
    return name


R18 = {
    **{k: v for k, v in MODEL.items() if k not in ("layers", "block", "stem", "width")},
    "depth": 18,
    "fpn_width": 32,
    "box_width": 32,
    "mask_width": 32,
}


def detectron2s_own(arm, norm: str):
    """The same configuration with detectron2's backbone, heads and norm."""
    method = load_method(arm.method)
    cfg = config(read_design(arm.model), method, method.params(**arm.params), Recipe(**arm.recipe), 5)
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    resnets = cfg.MODEL.RESNETS
    resnets.DEPTH, resnets.RES2_OUT_CHANNELS, resnets.NORM, resnets.STRIDE_IN_1X1 = 18, 64, norm, False
    resnets.OUT_FEATURES = cfg.MODEL.FPN.IN_FEATURES
    cfg.MODEL.FPN.NORM = cfg.MODEL.ROI_BOX_HEAD.NORM = cfg.MODEL.ROI_MASK_HEAD.NORM = norm
    cfg.MODEL.ROI_BOX_HEAD.NAME, cfg.MODEL.ROI_MASK_HEAD.NAME = "FastRCNNConvFCHead", "MaskRCNNConvUpsampleHead"
    return build_model(cfg)


@pytest.fixture(scope="module")
def readable(tmp_path_factory) -> Readable:
    images = read_split(small_scenes(tmp_path_factory.mktemp("scenes")), "train2017").images
    return Readable([image for image in images if image.trains])


@pytest.mark.parametrize("method, params, norm", [("batch_norm", {}, "BN"), ("group_norm", {"num_groups": 32}, "GN")])
def test_with_detectron2s_weights_losses_gradients_and_detections_are_detectron2s(readable, method, params, norm):
    arm = an_arm(method, params, anchors=[16, 32, 64, 96, 128])
    arm = type(arm)(**{**vars(arm), "model": R18})
    ours, theirs = built(engine, arm), detectron2s_own(arm, norm)
    state = theirs.state_dict()
    names = {name: their_name(name) for name in ours.state_dict()}
    assert sorted(names.values()) == sorted(state)
    ours.load_state_dict({name: state[names[name]] for name in names})
    batch = next(engine.batches(readable, read_design(arm.model), Recipe(**arm.recipe), 0, 0, CPU))
    losses, gradients, seen = [], [], []
    for detector in (ours, theirs):
        detector.train()
        torch.manual_seed(1)
        with EventStorage():
            parts = detector(batch)
        sum(parts.values()).backward()
        losses.append({name: value.item() for name, value in parts.items()})
        gradients.append({their_name(name): p.grad for name, p in detector.named_parameters() if p.grad is not None})
        detector.eval()
        detector.roi_heads.box_predictor.test_score_thresh = 0.0
        with torch.no_grad():
            seen.append(detector(batch)[0]["instances"])
    assert losses[0] == losses[1] and losses[0].keys() == {"loss_cls", "loss_box_reg", "loss_mask", "loss_rpn_cls", "loss_rpn_loc"}
    frozen = {name for name in gradients[0] if name not in gradients[1]}  # detectron2 freezes where it builds, we behind it
    assert not frozen and gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])
    assert (
        len(seen[0]) and torch.equal(seen[0].pred_boxes.tensor, seen[1].pred_boxes.tensor) and torch.equal(seen[0].scores, seen[1].scores)
    )
    assert torch.equal(seen[0].pred_masks, seen[1].pred_masks)


@pytest.mark.parametrize("arm", [name for name, arm in read_paper("rescalenet").arms.items() if arm.task == "coco"])
def test_every_arm_of_the_paper_stands_in_detectron2(arm):
    chosen = read_paper("rescalenet").arms[arm]
    method = load_method(chosen.method)
    design, recipe = read_design(read_task("coco").models[chosen.model]), whole_recipe(chosen.recipe)
    with torch.device("meta"):
        detector = engine.build(design, method, method.params(**chosen.params), recipe, 80)
    stands = {p.site.name: p.changed for p in detector.sites if p.site.kind == "norm"}
    expected = chosen.method != "rescalenet" and design.norms_in_heads
    assert {stands[f"fpn.lateral{i}.norm"] for i in (2, 3, 4, 5)} == {stands["mask_head.conv4.norm"]} == {expected}
    assert len(stands) == sum(p.site.kind == "norm" for p in detector.sites)  # no two sites have one name


def test_an_arm_is_checked_without_memory():
    assert adapter.check(an_arm(engine="detectron2")) is None
    assert "cannot stand at fpn.lateral2.norm" in adapter.check(an_arm("evonorm_s0", {"num_groups": 4}, engine="detectron2"))


# Data


def test_both_engines_see_the_same_objects_in_the_same_order(readable):
    arm = an_arm(engine="detectron2")
    batches = engine.batches(readable, read_design(arm.model), Recipe(**arm.recipe), 3, 5, CPU)
    for expected in (b for b, _ in zip(draws(readable.images, 2, True, 3, 5), range(3), strict=False)):
        for draw, found in zip(expected, next(batches), strict=True):
            image = readable.images[draw.index]
            wanted, scale = targets(image, True, draw.flip), found["image"].shape[1] / image.height
            assert (found["height"], found["width"]) == (image.height, image.width) and min(found["image"].shape[1:]) == 64
            assert torch.equal(found["instances"].gt_classes + 1, wanted["labels"])
            assert (found["instances"].gt_boxes.tensor - scale * wanted["boxes"]).abs().max() < 1  # sides are whole numbers of pixels


def test_a_draw_gives_the_same_sample_whenever_it_is_asked(readable):
    drawn = engine.Drawn(readable, read_design(MODEL), Recipe(**{**RECIPE, "sides": [64, 80, 96]}))
    draw = Draw(1, True, 7)
    np.random.seed(1)
    first = drawn[draw]
    np.random.seed(2)
    assert torch.equal(first["image"], drawn[draw]["image"])
    assert len({drawn[Draw(1, True, seed)]["image"].shape for seed in range(8)}) > 1


def test_an_image_that_cannot_be_read_is_replaced_and_counted(tmp_path):
    folder = small_scenes(tmp_path)
    images = [image for image in read_split(folder, "train2017").images if image.trains]
    Path(images[0].path).write_bytes(b"no picture")
    readable = Readable(images)
    found = engine.Drawn(readable, read_design(MODEL), Recipe(**RECIPE))[Draw(0, False, 0)]
    assert found["file_name"] == str(images[1].path) and readable.lost == {images[0].path}


def test_polygons_stay_polygons_where_all_are(readable, tmp_path):
    folder = small_scenes(tmp_path)
    path = folder / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"] = [one for one in content["annotations"] if isinstance(one["segmentation"], list)]
    path.write_text(json.dumps(content))
    images = [image for image in read_split(folder, "train2017").images if image.trains]
    assert engine.Drawn(Readable(images), read_design(MODEL), Recipe(**RECIPE)).format == "polygon"
    assert engine.Drawn(readable, read_design(MODEL), Recipe(**RECIPE)).format == "bitmask"
