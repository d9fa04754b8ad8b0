"""Runs of the coco task: whole, killed and taken up again, diverged, refused; what is measured; and how the engine is chosen."""

import contextlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from clock import Clock
from detectors import CPU, MODEL, RECIPE, an_arm, built, context, small_scenes
from facts import mistake
from PIL import Image

from normbench.config.tasks import load_adapter, read_task, recipe_schema
from normbench.core.schema import validated
from normbench.execution.task_api import Context
from normbench.training.checkpoint import Checkpoints
from normbench.training.loop import Interrupted
from tasks.coco import adapter, evaluation, monitor, pretrained, recipe, torchvision_engine
from tasks.coco.embedded import DATASET
from tasks.coco.recipe import Recipe

ENGINES = ["torchvision", *(["detectron2"] if importlib.util.find_spec("detectron2") else [])]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return small_scenes(tmp_path_factory.mktemp("data")).parent


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_has_declared_metrics_curves_sites_engine_evaluator_and_a_picture(root, tmp_path, engine):
    result = adapter.run(an_arm(engine=engine, evaluations=2), 0, context(root, picture=tmp_path / "found.png"))
    declared = read_task("coco").metrics
    assert (result.trained.status, result.trained.step) == ("finished", 4)
    assert {"box_ap", "box_ap50", "mask_ap", "train_loss"} <= set(result.metrics) <= set(declared)
    assert all(
        declared[name].low is None or declared[name].low <= value <= (declared[name].high or np.inf)
        for name, value in result.metrics.items()
    )
    assert [step for step, _ in result.trained.curves["box_ap"]] == [2, 4] and len(result.trained.curves["train_loss"]) == 4
    assert result.engine.startswith(f"{engine} ") and result.notes == {"evaluator": evaluation.EVALUATOR}
    assert result.n_parameters > 0 and any(row["site"] == "fpn.lateral2.norm" and row["stands"] == "GroupNorm" for row in result.sites)
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.size[1] == 320 and picture.size[0] in (160, 320, 480, 640)


class Killed(BaseException):
    """What a power cut looks like from inside."""


@pytest.mark.parametrize("method", ["batch_norm", "rescalenet"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_killed_in_the_middle_ends_as_the_uninterrupted_one(root, tmp_path, monkeypatch, engine, method):
    arm = an_arm(method, engine=engine, steps=5, evaluations=2, milestones=[0.5], warmup=0.4)
    whole = adapter.run(arm, 0, context(root))
    after = monitor.Monitor.after_step

    def killing(self, done, losses):
        after(self, done, losses)
        if done == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(monitor.Monitor, "after_step", killing)
        with pytest.raises(Killed):
            adapter.run(arm, 0, context(root, tmp_path / "run.pt", every=0))
    torch.manual_seed(99), np.random.seed(99)
    began = []
    resume = monitor.Monitor.resume
    monkeypatch.setattr(monitor.Monitor, "resume", lambda self, states: began.append(resume(self, states)) or began[-1])
    again = adapter.run(arm, 0, context(root, tmp_path / "run.pt", every=0))
    assert began == [3]
    assert again.trained.curves == whole.trained.curves and again.metrics == whole.metrics
    assert whole.trained.curves != adapter.run(arm, 1, context(root)).trained.curves


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_told_to_stop_writes_its_checkpoint_first(root, tmp_path, monkeypatch, engine):
    after = monitor.Monitor.after_step

    def stopping(self, done, losses):
        if done == 2:
            self._stop.set()
        after(self, done, losses)

    monkeypatch.setattr(monitor.Monitor, "after_step", stopping)
    with pytest.raises(Interrupted):
        adapter.run(an_arm(engine=engine), 0, context(root, tmp_path / "run.pt"))
    assert Checkpoints(tmp_path / "run.pt", "this", 0).load(CPU)["step"] == 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lr", [1e3, 1e30])
def test_a_run_that_diverges_is_a_result_with_its_step_and_cause(root, engine, lr):
    result = adapter.run(an_arm("none", engine=engine, lr=lr, steps=8), 0, context(root))
    assert result.trained.status == "diverged" and 1 <= result.trained.step <= 8
    assert result.trained.cause in ("the training loss is not finite", "the training loss exceeded 10,000")
    assert set(result.metrics) == {"skipped_annotations", "skipped_images"}


def watched(clock, monkeypatch, seconds: float, losses: list[float], progress=None):
    """What a monitor has of steps that took so many seconds each and had these losses."""
    monkeypatch.setattr(monitor, "time", clock)
    detector = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.1)
    with monitor.Monitor(detector, optimizer, Recipe(**RECIPE), 8, Context(CPU, Path(), progress=progress), dict) as watching:
        watching.resume({})
        with contextlib.suppress(monitor.Diverged):
            for done, loss in enumerate(losses, 1):
                clock.now += seconds
                watching.after_step(done, {"loss": loss})
    return watching.trained


@pytest.mark.parametrize("seconds, told", [(0.2, [1, 4, 7]), (2.0, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_progress_is_told_at_most_twice_a_second_and_of_each_slow_step(monkeypatch, seconds, told):
    steps = []
    watched(Clock(), monkeypatch, seconds, [1.0] * 8, lambda step, total, loss: steps.append(step))
    assert steps == told


def test_a_diverged_run_took_the_time_of_all_its_steps(monkeypatch):
    trained = watched(Clock(), monkeypatch, 2, [1.0, 1.0, float("nan"), 1.0])
    assert (trained.status, trained.step, trained.seconds, trained.step_seconds, trained.samples) == ("diverged", 3, 6, 6, 3 * 2)


def test_a_method_that_cannot_stand_is_refused_with_its_sentence(root):
    result = adapter.run(an_arm("evonorm_s0", {"num_groups": 4}), 0, context(root))
    assert result.trained.status == "refused" and "cannot stand at fpn.lateral2.norm" in result.trained.cause
    assert result.trained.cause == adapter.check(an_arm("evonorm_s0", {"num_groups": 4}))


def test_biases_are_calibrated_on_first_batches_unless_the_weights_were_learned_before(root):
    arm = an_arm("rescalenet", steps=1, lr=1e-12, flip=False)
    seen = []

    def looking(engine, detector, *_):
        seen.append([m.offset.abs().sum().item() for m in detector.modules() if hasattr(m, "offset")])
        return {"box_ap": 0.0, "mask_ap": 0.0}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapter, "_evaluate", looking)
        adapter.run(arm, 0, context(root))
    assert seen[0] and all(offset > 0 for offset in seen[0])


# Recipes and engines


def test_rates_rise_over_the_warm_up_and_fall_at_their_steps():
    made = Recipe(**{**RECIPE, "steps": 90000, "lr": 0.02, "warmup": 0.0111111, "milestones": [0.6666667, 0.8888889]})
    rates = {step: made.lr_at(step, 90000) for step in (0, 499, 999, 1000, 59999, 60000, 79999, 80000, 89999)}
    assert rates[0] == pytest.approx(2e-5) and rates[499] == pytest.approx(0.01) and rates[999] == rates[1000] == rates[59999] == 0.02
    assert rates[60000] == rates[79999] == pytest.approx(0.002) and rates[80000] == rates[89999] == pytest.approx(0.0002)


@pytest.mark.parametrize(
    "change, facts",
    [
        ({"engine": "detectron"}, ["engine", "'auto'", "'detectron2'", "'torchvision'", "'detectron'"]),
        ({"epochs": 3}, ["epochs", "steps", "one of"]),
        ({"milestones": [0.9, 0.5]}, ["milestones", "ascending", "0", "1"]),
        ({"freeze_at": 2}, ["freeze_at", "freeze_norm", "weights: scratch"]),
        ({"sides": []}, ["sides"]),
        ({"learning_rate": 1}, ["'learning_rate'"]),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence(change, facts):
    with mistake("recipe", *facts):
        validated(recipe_schema("coco"), {**RECIPE, **change}, "recipe")


@pytest.mark.parametrize("installed, name", [(True, "detectron2"), (False, "torchvision")])
def test_auto_takes_detectron2_where_it_is_and_says_in_one_line_which_and_why(monkeypatch, capsys, installed, name):
    recipe.available_engine.cache_clear()
    monkeypatch.setattr(recipe.importlib.util, "find_spec", lambda module: object() if installed else None)
    assert [Recipe(**{**RECIPE, "engine": "auto"}).engine for _ in range(2)] == [name] * 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(f"coco: engine auto takes {name}") and "installed" in said
    assert Recipe(**RECIPE).engine == "torchvision"  # named, it stays
    recipe.available_engine.cache_clear()


def test_an_engine_that_is_asked_for_and_absent_is_one_sentence(monkeypatch):
    monkeypatch.setattr(recipe.importlib.util, "find_spec", lambda module: None)
    with mistake("engine", "detectron2", "not installed", "torchvision", "auto"):
        adapter.check(an_arm(engine="detectron2"))


def test_the_engine_is_part_of_a_runs_identity():
    assert an_arm(engine="torchvision").id != an_arm(engine="detectron2").id
    assert load_adapter("coco") is adapter and recipe_schema("coco") is Recipe


# Backbones that learned before


@pytest.mark.slow
def test_a_backbone_that_learned_digits_before_serves_all_seeds_and_is_trained_once(root, tmp_path, monkeypatch):
    arm = an_arm("batch_norm", {}, {"norms": "backbone"}, weights="digits32", pretrain_steps=2, freeze_at=1, freeze_norm=True, steps=1)
    where = Context(CPU, tmp_path)
    first = pretrained.backbone_weights(arm, Recipe(**arm.recipe), where)
    monkeypatch.setattr(pretrained, "fit", lambda job: pytest.fail("trained again"))
    again = pretrained.backbone_weights(arm, Recipe(**arm.recipe), where)
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
    fresh = built(torchvision_engine, arm)
    assert not torch.equal(first["stem.conv.weight"], torchvision_engine.backbone_of(fresh).stem.conv.weight)
    (tmp_path / DATASET).symlink_to(root / DATASET)
    result = adapter.run(arm, 0, where)
    stands = {row["site"]: row["stands"] for row in result.sites}
    assert stands["stem.norm"] == stands["layer2.0.norm1"] == "BatchNorm2d, frozen" and stands["fpn.lateral2.norm"] == "nothing"


def test_weights_that_nobody_trained_are_one_sentence_with_the_command(root):
    arm = an_arm(weights="imagenet")
    with mistake("python -m tasks.coco.pretrain", "--method group_norm", "--dataset imagenet"):
        adapter.run(arm, 0, context(root))
    with mistake("'imagnet'", "imagenet task"):
        adapter.run(an_arm(weights="imagnet"), 0, context(root))
    assert MODEL["family"] == "mask_rcnn"
