"""What a recipe names is there: every mistake is one sentence before anything trains, with arm, key, value and what would do."""

import json

import pytest
from detectors import an_arm as a_detector
from facts import mistake, names
from outside import METHOD, write_method
from records_on_disk import run_main

from normbench.config.papers import Arm
from normbench.config.recipe_fields import RecipeFields
from normbench.config.tasks import recipe_fields, recipe_schema, task_names
from normbench.config.tiers import TierFile, as_guest, points, read_tier
from normbench.planning import check
from normbench.planning.plan import Effort, Plan

PAPER = TierFile.model_validate(
    {
        "tier": "paper", "says": "", "seeds": [0], "job_seconds": 1, "checkpoint_seconds": 1,
        "machine": {"seconds_per_layer": 1, "macs_per_second": 1},
    }
)  # fmt: skip
IMAGES = {"task": "imagenet", "dataset": "cifar10", "model": "cnn10", "method": "batch_norm", "recipe": "beyond_cifar"}
FOLDER = {**IMAGES, "dataset": "imagenet", "model": "resnet50", "recipe": "rescalenet_imagenet"}
CLIPS = {"task": "kinetics", "dataset": "motions", "model": "r3d18", "method": "batch_norm", "recipe": "slow_8x8"}
BOXES = {"task": "coco", "dataset": "coco", "model": "mask_rcnn_r50", "method": "batch_norm", "recipe": "2x"}
WORDS = {"task": "wmt", "dataset": "numbers", "model": "transformer_base", "method": "layer_norm", "recipe": "wmt_base"}
SIGNAL = {"task": "propagation", "dataset": "digits", "model": "chain", "method": "batch_norm", "recipe": "signal"}
TIMED = {"task": "cost", "dataset": "noise", "model": "one_block", "method": "batch_norm", "recipe": "layer"}

# (the arm, what it sets, facts in the sentence)
MISTAKES = {
    "augment of images in memory": (IMAGES, {"augment": "crop_flipp"}, ["augment", "'crop_flipp'", "cifar10", "'crop_flip'"]),
    "augment of a folder in memory": (IMAGES, {"augment": "resized_crop_flip"}, ["augment", "cifar10", "crop_flip"]),
    "augment of memory in a folder": (FOLDER, {"augment": "crop_flip"}, ["augment", "'crop_flip'", "imagenet", "'resized_crop_flip'"]),
    "precision": (IMAGES, {"precision": "float16"}, ["precision", "'float16'", "'emulated_float16'"]),
    "norms that nobody recorded": (IMAGES, {"norm_control": "correct_lr"}, ["norm_control", "'correct_lr'", "norms_from"]),
    "augment of clips": (CLIPS, {"augment": "crop"}, ["augment", "'crop'", "flip"]),
    "test_crops of clips": (CLIPS, {"test_crops": 2}, ["test_crops", "2", "1 or 3"]),
    "weights": (BOXES, {"weights": "imagnet"}, ["weights", "'imagnet'", "'imagenet'", "scratch"]),
    "weights that learned nothing": (BOXES, {"weights": "digits"}, ["pretrain_steps", "0 steps", "digits", "1 or more"]),
    "engine": (BOXES, {"engine": "torchvison"}, ["engine", "'torchvison'", "'torchvision'"]),
    "sides": (BOXES, {"sides": [640, 8]}, ["sides", "8", "16"]),
    "precision of words": (WORDS, {"precision": "amp_bfloat16"}, ["precision", "'amp_bfloat16'", "'amp_float16'"]),
    "measure": (SIGNAL, {"measure": "signals"}, ["measure", "'signals'", "'signal'"]),
    "more images than there are": (SIGNAL, {"batch_size": 2000}, ["batch_size", "2000", "digits", "1197"]),
    "more to calibrate on": (SIGNAL, {"calibration_samples": 1198}, ["calibration_samples", "1198", "1197"]),
    "subject": (TIMED, {"subject": "layers"}, ["subject", "'layers'", "'layer'"]),
}  # fmt: skip


def planned(arm: dict, **settings) -> list:
    return points("some", "the_arm", Arm.model_validate({**arm, "set": settings}), PAPER)


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_a_recipe_is_one_sentence_while_planning(what):
    arm, settings, facts = MISTAKES[what]
    with mistake("papers/some.yaml: arms.the_arm: recipe", *facts):
        planned(arm, **settings)


@pytest.mark.parametrize("arm", [IMAGES, FOLDER, CLIPS, BOXES, WORDS, SIGNAL, TIMED], ids=lambda arm: f"{arm['task']} {arm['dataset']}")
def test_what_is_there_is_planned(arm):
    assert len(planned(arm)) == 1


def test_noise_is_never_too_little_and_what_is_not_compared_needs_no_samples():
    assert planned({**SIGNAL, "dataset": "gaussian"}, batch_size=5000, compare_calibration=True)
    assert planned(SIGNAL, compare_calibration=True)
    assert planned({**BOXES}, weights="digits", pretrain_steps=1)


def test_an_arm_that_follows_norms_names_who_recorded_them():
    arm = Arm.model_validate({**IMAGES, "norms_from": "other", "set": {"norm_control": "schedule", "milestones": [0.5]}})
    assert points("some", "the_arm", arm, PAPER)
    with mistake("arms.the_arm@rms_norm: recipe", "norm_control", "'schedule'"):
        points("some", "the_arm@rms_norm", as_guest(arm, "rms_norm"), PAPER)


def checked(root, *words, **specs) -> int:
    """The exit code of the rule that tries every arm of a plan."""
    points = {("some", name): [({}, name)] for name in specs}
    Plan(read_tier("tiny"), {}, [], specs, {name: Effort((0,), 1.0, 0) for name in specs}, points).write(root)
    return run_main(check.main, root, "--output", str(root / "checked.json"), *words)


BROKEN = {"at import": METHOD.replace("CITE =", "1 / 0\nCITE ="), "when built": METHOD.replace("return Times", "1 / 0\n    return Times")}


@pytest.mark.parametrize("how", BROKEN)
def test_a_method_that_fails_costs_itself_only_unless_it_was_asked_for(how, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NORMBENCH_METHODS_PATH", str(tmp_path / "methods"))
    write_method(tmp_path / "methods", "halved", BROKEN[how])
    (_, good), (_, bad) = *planned({**IMAGES, "method": "batch_norm"}), *planned({**IMAGES, "method": "halved"})
    assert checked(tmp_path, good=good, bad=bad) == 0
    names(capsys.readouterr().err, "halved", "ZeroDivisionError")
    assert json.loads((tmp_path / "checked.json").read_text())["faults"].keys() == {"halved"}
    (tmp_path / "checked.json").unlink()
    assert checked(tmp_path, "--methods", "l1_batch_norm,halved", good=good, bad=bad) == 1
    names(capsys.readouterr().err, "error", "halved", "ZeroDivisionError")
    assert not (tmp_path / "checked.json").exists()


def test_every_recipe_is_tried_with_its_model_not_the_first_alone(tmp_path, capsys):
    assert checked(tmp_path, good=a_detector()) == 0
    assert checked(tmp_path, good=a_detector(), bad=a_detector(anchors=[16, 32])) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "some/bad: recipe: anchors: [16, 32] has 2 sides" in said and "3 levels" in said


def test_an_identity_of_scale_needs_a_norm_to_be_about(tmp_path, capsys):
    signal, without = ({**SIGNAL, "dataset": "gaussian", "method": "skipinit", "recipe": name} for name in ("signal", "invariance"))
    (_, one), (_, other) = *planned(signal), *planned(without)
    assert checked(tmp_path, signal=one, invariance=other) == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 1 and "some/invariance: methods/skipinit.py: no norm" in said


# --- what a recipe's fields mean -------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", task_names())
def test_the_fields_that_a_task_names_exist(task):
    assert recipe_fields(task).batch_size({**dict.fromkeys(recipe_schema(task).model_fields, 2)})


def test_a_field_that_does_not_exist_is_named_with_the_nearest():
    fields = RecipeFields(batch=["max_tokns"])
    with mistake("tasks/wmt/task.yaml", "recipe_fields.batch", "'max_tokns'", "'max_tokens'"):
        fields.check("tasks/wmt/task.yaml", recipe_schema("wmt").model_fields)


@pytest.mark.parametrize(
    "task, recipe, most, gpus",
    [
        ("imagenet", {"batch_size": 1024, "device_batch_size": 128}, 8, 8),
        ("imagenet", {"batch_size": 96, "device_batch_size": 32}, 8, 3),
        ("imagenet", {"batch_size": 1024, "device_batch_size": None}, 8, 1),
        ("cost", {"batch_size": 1024}, 8, 1),
        ("wmt", {"max_tokens": 3584, "update_freq": 6}, 4, 3),
        ("wmt", {"max_tokens": 3584, "update_freq": 1}, 8, 1),
        ("imagenet", {"batch_size": 1024, "device_batch_size": 128}, 0, 0),
    ],
)
def test_gpus_share_a_step_evenly(task, recipe, most, gpus):
    assert recipe_fields(task).gpus(recipe, most) == gpus


def test_a_batch_in_words():
    assert recipe_fields("wmt").batch_size({"max_tokens": 3584, "update_freq": 8}) == "28,672 tokens"
    assert recipe_fields("imagenet").batch_size({"batch_size": 1024}) == "1024"
    assert recipe_fields("imagenet").batch_size({}) == ""


def test_a_reader_is_told_of_what_the_task_says_in_its_order_and_words():
    ours, theirs = {"dropout": 0.1, "lr": 0.1, "beam": 4, "max_tokens": 9}, {"dropout": 0.3, "lr": 0.1, "beam": 5, "max_tokens": 8}
    assert recipe_fields("wmt").differences(ours, theirs) == [("tokens of a batch", 9, 8), ("dropout", 0.1, 0.3)]
    assert recipe_fields("imagenet").differences({"lr": 0.1}, {}) == [("learning rate", 0.1, None)]
