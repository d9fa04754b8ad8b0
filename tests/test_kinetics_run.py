"""The kinetics task as a whole: its networks against what others published of them, scores, a run that is killed, and recipes."""

import json
from dataclasses import replace

import pytest
import torch
import torchvision
from clip_arms import RECIPE, an_arm, network, small_motions
from facts import mistake
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from normbench import load_method
from normbench.config.cost_model import Machine, Work, expected_seconds
from normbench.config.spec import canonical
from normbench.config.tasks import read_task, recipe_schema, work_of
from normbench.core.schema import validated
from normbench.execution.task_api import Context
from normbench.hooks.builder import count_parameters
from normbench.training.checkpoint import Checkpoints
from tasks.kinetics import adapter, data, networks
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.scores import evaluate

BATCH_NORM, TASK = load_method("batch_norm"), read_task("kinetics")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_motions(tmp_path_factory.mktemp("data"))


# Networks


def test_the_slow_network_has_the_published_size_and_work():
    """PyTorchVideo's model zoo: Slow R50 8x8 has 32.45 M parameters and takes 54.52 G multiply-adds a view of 256 pixels."""
    with torch.device("meta"):
        net = networks.build(TASK.models["slow_resnet50"], BATCH_NORM, None, num_classes=400, frames=8, crop=256)
        with FlopCounterMode(display=False) as counter:
            assert net(torch.empty(1, 3, 8, 256, 256)).shape == (1, 400)
    assert count_parameters(net) == pytest.approx(32.45e6, abs=0.005e6)
    assert counter.get_total_flops() / 2 == pytest.approx(54.52e9, abs=0.005e9)


@pytest.mark.parametrize("spec", [TASK.models["slow_resnet50"], TASK.models["slow_resnet50_avgpool"], TASK.models["inflated_resnet50"]])
def test_no_frame_is_lost_on_the_way(spec):
    with torch.device("meta"):
        net, lengths = networks.build({**spec, "width": 8, "width_per_group": 64}, BATCH_NORM, None, num_classes=5, frames=6, crop=64), []
        for name in ("stem", "layer1", "layer2", "layer3", "layer4"):
            getattr(net, name).register_forward_hook(lambda m, i, out: lengths.append((out.shape[2], out.shape[3])))
        net(torch.empty(1, 3, 6, 64, 64))
    assert lengths == [(6, 16), (6, 16), (6, 8), (6, 4), (6, 2)]


@pytest.mark.slow
def test_training_steps_are_those_of_torchvisions_r3d_18():
    """Copied weights: equal losses, and equal weights after three steps of SGD with momentum."""
    torch.manual_seed(0)
    theirs = torchvision.models.video.r3d_18(num_classes=8)
    mine = network(TASK.models["r3d18"])
    mine.load_state_dict(dict(zip(mine.state_dict(), (v.clone() for v in theirs.state_dict().values()), strict=True)))
    x, y = torch.randn(2, 3, 4, 32, 32), torch.tensor([1, 6])
    losses = []
    for net in (theirs, mine):
        optimizer, seen = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9), []
        for _ in range(3):
            loss = nn.functional.cross_entropy(net.train()(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        losses.append(seen)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4) and losses[0][-1] != pytest.approx(losses[0][0], rel=0.01)
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


SLOW = {"family": "slow_resnet", "layers": [1, 1], "block": "basic", "temporal": [1, 3], "width": 4}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"temporal": [1]}, ["temporal", "odd", "2 stages", "got [1]"]),
        ({"temporal": [1, 2]}, ["temporal", "odd", "got [1, 2]"]),
        ({"layers": None, "depth": 51}, ["depth", "51", "18"]),
        ({"depth": 18}, ["depth 18", "layers", "one of"]),
        ({"shortcut": "pad"}, ["shortcut", "'pad'", "frames"]),
        ({"tempral": [1, 1]}, ["'tempral'", "did you mean 'temporal'"]),
        ({"version": 2}, ["'version'", "argument"]),
    ],
)
def test_a_slow_network_that_cannot_be_says_why(change, facts):
    spec = {key: value for key, value in {**SLOW, **change}.items() if value is not None}
    with mistake("slow_resnet", *facts):
        network(spec)


@pytest.mark.parametrize("method", ["group_norm", "rescalenet", "fixup", "skipinit", "weight_norm", "evonorm_s0", "none"])
def test_methods_stand_in_the_slow_network(method):
    net = network(SLOW, method, **({"num_groups": 2} if method in ("group_norm", "evonorm_s0") else {}))
    assert net(torch.randn(2, 3, 4, 32, 32)).isfinite().all() and {p.site.layout for p in net.sites} == {"NCTHW", "NLC"}


# Scores


class Given(nn.Module):
    """Gives back what lies in the first frame's first row."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()))  # says which device the network is on

    def forward(self, x):
        return x[:, 0, 0, 0]


def test_scores_are_probabilities_averaged_over_the_views():
    x = torch.randn(7, 6, 1, 1, 1, 9)
    y = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    mean = torch.stack([torch.stack([view.reshape(-1).softmax(0) for view in clip]).mean(0) for clip in x])
    y[:3] = mean[:3].argmax(1)  # three are right at least
    found = evaluate(Given(), [(x[:4], y[:4]), (x[4:], y[4:])])
    order = mean.argsort(1, descending=True)
    assert found["test_top1"] == pytest.approx(100 * float((order[:, 0] == y).float().mean()))
    assert found["test_top5"] == pytest.approx(100 * float((order[:, :5] == y[:, None]).any(1).float().mean()))
    assert found["test_loss"] == pytest.approx(-float(mean[torch.arange(7), y].log().mean()), rel=1e-5)
    x[0, 0] = float("nan")
    assert all(value != value for value in evaluate(Given(), [(x, y)]).values())


# Runs


class Killed(Exception):
    pass


class Dying(Checkpoints):
    """Writes the checkpoint of a step, and the process is gone."""

    def __init__(self, path, step):
        super().__init__(path, "this", 0)
        self.step = step

    def save(self, state):
        super().save(state)
        if state["step"] == self.step:
            raise Killed


def test_a_run_that_is_killed_ends_with_the_same_numbers(root, tmp_path):
    arm = an_arm()
    whole = adapter.run(arm, 0, Context(torch.device("cpu"), root))
    for step in (2, 4):
        with pytest.raises(Killed):
            dying = Dying(tmp_path / "run.pt", step)
            adapter.run(arm, 0, Context(torch.device("cpu"), root, checkpoints=dying))
        torch.manual_seed(99)  # a new process has drawn something else
    again = adapter.run(arm, 0, Context(torch.device("cpu"), root, checkpoints=Checkpoints(tmp_path / "run.pt", "this", 0)))
    assert (again.metrics, again.trained.curves, again.notes) == (whole.metrics, whole.trained.curves, whole.notes)
    assert whole.trained.status == "finished" and whole.trained.curves["train_loss"][-1][0] == 5
    other = adapter.run(arm, 1, Context(torch.device("cpu"), root))
    assert other.metrics["train_loss"] != whole.metrics["train_loss"]


@pytest.mark.parametrize("method", ["rescalenet", "group_norm"])
def test_a_run_records_declared_metrics_and_what_read_the_clips(root, method):
    result = adapter.run(an_arm(method, params={"num_groups": 2} if method == "group_norm" else {}), 0, Context(torch.device("cpu"), root))
    assert result.trained.status == "finished" and set(result.metrics) <= set(TASK.metrics)
    assert {"test_top1", "test_top5", "coverage_train", "unreadable_val"} <= set(result.metrics)
    assert result.metrics["test_top5"] >= result.metrics["test_top1"] >= 0 and result.metrics["coverage_train"] == 100
    assert result.data_sha256 == data.data_sha256("motions", root / "motions")
    assert set(result.notes) == {"decoder", "clips_train", "clips_val"} and result.notes["decoder"] in result.engine
    json.dumps(result.probes)


def test_a_method_that_refuses_and_one_that_diverges_are_results(root):
    refused = adapter.run(an_arm("group_norm", params={"num_groups": 3}), 0, Context(torch.device("cpu"), root))
    assert refused.trained.status == "refused" and "group" in refused.trained.cause
    assert adapter.check(an_arm("group_norm", params={"num_groups": 3})) == refused.trained.cause
    diverged = adapter.run(an_arm("none", lr=1e4, momentum=0.0, steps=9), 0, Context(torch.device("cpu"), root))
    assert diverged.trained.status == "diverged" and "test_top1" not in diverged.metrics


# Planning


@pytest.mark.parametrize("name", TASK.recipes)
def test_recipes_hold_and_are_planned_without_torch(name):
    made = validated(recipe_schema("kinetics"), TASK.recipes[name], name)
    assert canonical(validated(Recipe, made.model_dump(mode="json"), name).model_dump(mode="json")) == canonical(
        made.model_dump(mode="json")
    )
    assert made.span == pytest.approx(56 / 30)


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"short_side": [12, 40]}, ["short_side", "crop", "16", "[12, 40]"]),
        ({"test_crop": 41}, ["test_crop", "41", "test_short_side", "40"]),
        ({"augment": "crop"}, ["none", "flip", "got 'crop'"]),
        ({"frmes": 4}, ["'frmes'", "did you mean 'frames'"]),
        ({"inflate": "../x"}, ["inflate", "../x"]),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence(change, facts):
    with mistake("tasks/kinetics/task.yaml", "recipes.x", *facts):
        validated(Recipe, {**RECIPE, **change}, "tasks/kinetics/task.yaml: recipes.x")


def test_expected_work_is_about_what_a_network_computes():
    arm = replace(
        an_arm(model=TASK.models["slow_resnet50"]), recipe={**TASK.recipes["slow_8x8"], "epochs": None, "steps": 1, "evaluations": 0}
    )
    work = Work(*work_of("kinetics")(arm, TASK.datasets["motions"]))
    assert work.layers == 48 and 0.4 < 2 * work.macs / 64 / 54.52e9 * (256 / 224) ** 2 < 2.5
    once = expected_seconds(arm, Machine(seconds_per_layer=0, macs_per_second=1e12))
    arm = replace(arm, recipe={**arm.recipe, "steps": 3})
    assert expected_seconds(arm, Machine(seconds_per_layer=0, macs_per_second=1e12)) - 3 == pytest.approx(3 * (once - 3))
