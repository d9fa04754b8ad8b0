"""Detectors: equal to torchvision's own with its norm, and the method standing where it can, frozen where it is told to."""

import dataclasses
import itertools

import pytest
import torch
import torchvision
from detectors import CPU, GROUPS, MODEL, an_arm, built, small_scenes
from facts import mistake
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from normbench.hooks.builder import Refused
from normbench.hooks.methods import method_names
from tasks.coco import adapter, torchvision_engine
from tasks.coco.annotations import read_split
from tasks.coco.backbone import Backbone, load_weights
from tasks.coco.design import read_design
from tasks.coco.norm_sites import sites_for_the_record
from tasks.coco.optimizer import optimizer_of
from tasks.coco.recipe import Recipe
from tasks.coco.samples import MEAN, STD, Readable

R18 = {
    "family": "mask_rcnn",
    "depth": 18,
    "fpn_width": 256,
    "box_convs": 1,
    "box_width": 16,
    "box_fcs": 1,
    "box_fc_width": 16,
    "mask_convs": 1,
    "mask_width": 8,
}
ANCHORS = [16, 32, 64, 96, 128]


@pytest.fixture(scope="module")
def readable(tmp_path_factory) -> Readable:
    images = read_split(small_scenes(tmp_path_factory.mktemp("scenes")), "train2017").images
    return Readable([image for image in images if image.trains])


def a_batch(readable: Readable, arm):
    return next(torchvision_engine.batches(readable, read_design(arm.model), Recipe(**arm.recipe), 0, 0, CPU))


def torchvisions_own(norm) -> MaskRCNN:
    """As torchvision's maskrcnn_resnet50_fpn_v2 puts its parts together, smaller."""
    backbone = _resnet_fpn_extractor(torchvision.models.resnet18(weights=None, norm_layer=norm), 5, norm_layer=norm)
    return MaskRCNN(
        backbone,
        min_size=(64,),
        max_size=128,
        image_mean=MEAN,
        image_std=STD,
        rpn_anchor_generator=AnchorGenerator(tuple((a,) for a in ANCHORS), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_train=40,
        rpn_pre_nms_top_n_test=10,
        rpn_post_nms_top_n_train=20,
        rpn_post_nms_top_n_test=10,
        rpn_batch_size_per_image=16,
        box_head=FastRCNNConvFCHead((256, 7, 7), [16], [16], norm),
        box_predictor=FastRCNNPredictor(16, 6),
        box_batch_size_per_image=8,
        box_detections_per_img=5,
        mask_head=MaskRCNNHeads(256, [8], 1, norm),
        mask_predictor=MaskRCNNPredictor(8, 8, 6),
    )


@pytest.mark.parametrize(
    "method, params, norm",
    [("batch_norm", {}, nn.BatchNorm2d), ("group_norm", {"num_groups": 8}, lambda width: nn.GroupNorm(8, width))],
    ids=["batch_norm", "group_norm"],
)
def test_with_torchvisions_weights_losses_gradients_and_detections_are_torchvisions(readable, method, params, norm):
    arm = an_arm(method, params, anchors=ANCHORS)
    arm = dataclasses.replace(arm, model=R18)
    ours, theirs = built(torchvision_engine, arm), torchvisions_own(norm)
    state = theirs.state_dict()
    assert [v.shape for v in ours.state_dict().values()] == [v.shape for v in state.values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)))
    images, found = a_batch(readable, arm)
    losses, gradients, seen = [], [], []
    for detector in (ours, theirs):
        detector.train()
        torch.manual_seed(1)
        parts = detector(images, found)
        sum(parts.values()).backward()
        losses.append({name: value.item() for name, value in parts.items()})
        gradients.append([p.grad for p in detector.parameters()])
        detector.eval()
        detector.roi_heads.score_thresh = 0.0
        with torch.no_grad():
            seen.append(detector(images)[0])
    assert losses[0] == losses[1] and losses[0].keys() == {
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
        "loss_objectness",
        "loss_rpn_box_reg",
    }
    for ours, theirs in zip(*gradients, strict=True):  # skip and branch are added in another order
        torch.testing.assert_close(ours, theirs)
    assert len(seen[0]["boxes"]) and all(torch.equal(seen[0][key], seen[1][key]) for key in ("boxes", "labels", "scores", "masks"))


def test_predictions_are_in_pixels_of_the_image_and_classes_from_zero(readable):
    detector = built(torchvision_engine, an_arm())
    detector.roi_heads.score_thresh = 0.0
    image, _ = readable.at(0)
    found = torchvision_engine.predict(detector, readable, 0, CPU)
    assert 0 < len(found["boxes"]) <= 5 and found["masks"].shape[1:] == (image.height, image.width) and found["masks"].dtype == torch.bool
    assert found["labels"].min() >= 0 and found["labels"].max() <= 4
    assert found["boxes"][:, 2].max() <= image.width and found["boxes"][:, 3].max() <= image.height
    assert detector.transform.min_size == (64,)


# Where methods stand


def stands(arm) -> dict[str, str]:
    detector = built(torchvision_engine, arm)
    backbone = torchvision_engine.backbone_of(detector)
    recipe = Recipe(**{**arm.recipe, "weights": "digits"})
    backbone.freeze(recipe.freeze_at, recipe.freeze_norm)
    return {row["site"]: row["stands"] for row in sites_for_the_record(detector, backbone) if row["kind"] == "norm"}


HEADS = {"fpn.lateral2.norm", "fpn.output2.norm", "fpn.lateral3.norm", "fpn.output3.norm", "box_head.conv1.norm", "mask_head.conv1.norm"}


def test_the_record_lists_what_stands_what_is_frozen_and_what_has_none():
    found = stands(an_arm())
    assert set(found) > HEADS and set(found.values()) == {"GroupNorm"}
    plain = stands(an_arm("rescalenet"))
    assert set(plain.values()) == {"nothing"} | ({"default"} & set(plain.values())) and set(plain) > HEADS
    backbone_alone = stands(an_arm(model={"norms": "backbone"}))
    assert {site for site, what in backbone_alone.items() if what == "nothing"} == HEADS
    frozen = stands(an_arm("batch_norm", freeze_at=2, weights="digits"))
    assert {site.split(".")[0] for site, what in frozen.items() if what.endswith(", frozen")} == {"stem", "layer1"}
    all_frozen = stands(an_arm("batch_norm", model={"norms": "backbone"}, freeze_norm=True, weights="digits"))
    assert {site for site, what in all_frozen.items() if what == "BatchNorm2d, frozen"} == set(all_frozen) - HEADS


@pytest.mark.parametrize("method, biased", [("group_norm", False), ("rescalenet", True), ("none", True)])
def test_a_convolution_keeps_its_bias_where_no_norm_stands_behind_it(method, biased):
    detector = built(torchvision_engine, an_arm(method))
    convs = [
        detector.backbone.fpn.inner_blocks[0][0],
        detector.backbone.fpn.layer_blocks[0][0],
        detector.roi_heads.box_head[0][0],
        detector.roi_heads.mask_head[0][0],
    ]
    assert [conv.bias is not None for conv in convs] == [biased] * 4


def test_an_activation_of_the_method_stands_behind_its_norms_in_the_heads():
    detector = built(torchvision_engine, an_arm("filter_response_norm"))
    block = detector.roi_heads.box_head[0]
    own = next(p for p in detector.sites if p.site.name == "box_head.conv1.act")
    assert own.changed and block[-1] is own.module and not isinstance(block[-1], nn.ReLU)
    assert isinstance(built(torchvision_engine, an_arm()).roi_heads.box_head[0][-1], nn.ReLU)


def test_what_cannot_stand_in_a_pyramid_is_refused_with_its_sentence():
    with pytest.raises(Refused, match=r"methods/evonorm_s0.py cannot stand at fpn.lateral2.norm \(norm, 16 features\): .*"):
        built(torchvision_engine, an_arm("evonorm_s0", {"num_groups": 4}))
    with pytest.raises(Refused, match="16 channels do not divide into 5 groups"):
        built(torchvision_engine, an_arm("group_norm", {"num_groups": 5}, model={"width": 10, "layers": [1, 1]}))
    arm = an_arm("evonorm_s0", {"num_groups": 4}, model={"norms": "backbone"})
    assert adapter.check(arm) is None


@pytest.mark.parametrize("method", method_names())
def test_every_method_builds_trains_a_step_or_says_why_not(readable, method):
    arm = an_arm(method)
    if "num_groups" in (params := vars(__import__("normbench").load_method(method).params())):
        arm = dataclasses.replace(arm, params=GROUPS if params.get("num_groups") else {})
    if why := adapter.check(arm):
        assert why.startswith(f"methods/{method}.py cannot stand at ") and why.count("\n") == 0
        return
    detector = built(torchvision_engine, arm)
    detector.train()
    parts = torchvision_engine.losses(detector, a_batch(readable, arm))
    sum(parts.values()).backward()
    assert all(torch.isfinite(value) for value in parts.values())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in torchvision_engine.backbone_of(detector).parameters())


def test_faster_rcnn_has_no_mask_head_and_no_masks(readable):
    arm = an_arm(model={"family": "faster_rcnn"})
    detector = built(torchvision_engine, arm)
    parts = detector.train()(*a_batch(readable, arm))
    assert "loss_mask" not in parts and not any(p.site.name.startswith("mask_head") for p in detector.sites)
    assert "masks" not in torchvision_engine.predict(detector, readable, 0, CPU)


# Freezing, weights, groups


def test_what_is_frozen_keeps_parameters_and_statistics_and_the_rest_learns(readable):
    arm = an_arm("batch_norm", freeze_at=2, freeze_norm=True, weights="digits")
    detector = built(torchvision_engine, arm)
    backbone = torchvision_engine.backbone_of(detector)
    backbone.freeze(2, True)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    optimizer = optimizer_of(detector, Recipe(**arm.recipe))
    detector.train()
    sum(detector(*a_batch(readable, arm)).values()).backward()
    optimizer.step()
    changed = {name for name, value in detector.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("backbone.body.stem", "backbone.body.layer1")) for name in changed)
    assert not any("norm" in name for name in changed if name.startswith("backbone.body"))
    assert any(name.startswith("backbone.body.layer2") for name in changed)
    assert "backbone.fpn.inner_blocks.0.1.running_mean" in changed  # norms of the pyramid are not the backbone's


def test_a_classifiers_weights_fit_but_for_its_own_layers():
    from normbench import load_method
    from normbench.models import build_model

    design = read_design(MODEL).backbone
    method = load_method("batch_norm")
    torch.manual_seed(5)
    classifier = build_model({"family": "resnet", **design}, method, num_classes=7)
    backbone = Backbone(design, method, method.params())
    load_weights(backbone, classifier.state_dict())
    assert all(torch.equal(value, classifier.state_dict()[name]) for name, value in backbone.state_dict().items())
    with pytest.raises(RuntimeError, match="stem"):
        load_weights(backbone, {name: value for name, value in classifier.state_dict().items() if not name.startswith("stem")})


def test_norms_have_no_decay_unless_asked_and_the_methods_wishes_hold():
    detector = built(torchvision_engine, an_arm())
    norms = {id(p) for placed in detector.sites if placed.site.kind == "norm" for p in placed.module.parameters()}
    for decay_norms in (False, True):
        recipe = Recipe(**an_arm(decay_norms=decay_norms).recipe)
        groups = optimizer_of(detector, recipe).param_groups
        decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert len(decays) == sum(1 for p in detector.parameters() if p.requires_grad)
        assert {decays[i] for i in norms} == ({recipe.weight_decay} if decay_norms else {0.0})
        assert {decays[i] for i in decays.keys() - norms} == {recipe.weight_decay}
    fixup = built(torchvision_engine, an_arm("fixup"))
    scales = {group["lr_scale"] for group in optimizer_of(fixup, Recipe(**an_arm().recipe)).param_groups}
    assert scales == {1.0, 0.1}


# Mistakes


@pytest.mark.parametrize(
    "model, facts",
    [
        ({"family": "mask_rcn"}, ["model", "'mask_rcn'", "coco", "'mask_rcnn'"]),
        ({"fpn_wdth": 3}, ["model resnet", "'fpn_wdth'"]),
        ({"box_convs": -1}, ["model mask_rcnn", "box_convs", "whole number", "0", "got -1"]),
        ({"norms": "heads"}, ["model mask_rcnn", "norms", "'heads'"]),
        ({"version": 2}, ["model mask_rcnn", "version", "1"]),
    ],
)
def test_a_mistake_in_a_model_is_one_sentence(model, facts):
    with mistake(*facts):
        adapter.check(an_arm(model=model))


def test_the_same_norm_stands_in_all_sites_once():
    detector = built(torchvision_engine, an_arm())
    modules = [p.module for p in detector.sites if p.site.kind == "norm"]
    assert len({id(m) for m in modules}) == len(modules) == sum(isinstance(m, nn.GroupNorm) for m in detector.modules())
    assert len({p.site.name for p in detector.sites}) == len(detector.sites)
    assert all(a.site.name != b.site.name for a, b in itertools.pairwise(detector.sites))
