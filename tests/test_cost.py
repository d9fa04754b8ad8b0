"""The cost task: what its rounds, ratios and counts are, with a clock that the test turns; no test here times anything."""

import gc
import math
from pathlib import Path

import pytest
import torch
from facts import mistake
from torch import nn

from normbench import load_method
from normbench.config.cost_model import Machine, expected_seconds
from normbench.config.papers import read_paper
from normbench.config.spec import ArmSpec
from normbench.config.tasks import load_adapter, read_task, recipe_schema
from normbench.config.tiers import points, read_tier
from normbench.core.schema import validated
from normbench.execution.task_api import Context
from tasks.cost import adapter, subjects
from tasks.cost.memory import saved_bytes
from tasks.cost.recipe import Recipe
from tasks.cost.timing import ProcessorClock, WallClock, clock_of, interleaved, order, ratio

LAYER = {"subject": "layer", "batch_size": 2, "pixels": 4, "rounds": 3}
NETWORK = {**LAYER, "subject": "network"}
MODEL = {"family": "resnet", "blocks": 1, "block": "bottleneck", "stem": "cifar", "width": 4}
OF_LAYERS = {"copy_bandwidth", "roofline_seconds", "step_over_roofline"}


class Turned:
    """A clock that only `spend` moves."""

    now = 0.0

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def mark(self) -> float:
        return self.now

    def between(self, a: float, b: float) -> float:
        return b - a


class Counting(Turned):
    """A second passes at every look."""

    def mark(self) -> float:
        self.now += 1
        return self.now


def an_arm(method: str = "batch_norm", recipe: dict = LAYER) -> ArmSpec:
    return ArmSpec("cost", "noise", MODEL, method, {}, recipe)


def context(tmp_path: Path) -> Context:
    return Context(torch.device("cpu"), tmp_path)


# Rounds


def test_rounds_go_there_and_back_with_the_copy_in_front_of_everyone():
    assert order("AB") == list("ABBA")
    assert order("AB", "C") == list("CACBCBCA")
    turns: list[str] = []
    participants = {name: {"all": lambda name=name: turns.append(name)} for name in "ABC"}
    interleaved(participants, 2, Counting(), before="C")
    assert "".join(turns) == 2 * "CACBCBCA"


def test_phases_are_timed_in_their_order_and_a_step_is_all_of_them():
    clock = Turned()
    step = {"forward": lambda: clock.spend(1), "backward": lambda: clock.spend(2), "update": lambda: clock.spend(0.5)}
    times = interleaved({"own": step}, 3, clock)["own"]
    assert times == {"forward": [1] * 3, "backward": [2] * 3, "update": [0.5] * 3, "step": [3.5] * 3}


def test_a_step_over_itself_is_one_and_stays_so_while_the_machine_slows_down_steadily():
    steady, slowing = Turned(), Turned()
    times = interleaved({name: {"all": lambda: steady.spend(0.1)} for name in "AB"}, 4, steady)
    assert ratio(times["A"]["all"], times["B"]["all"]) == 1
    seconds = iter(range(1, 100))  # every step takes a second more than the one before
    times = interleaved({name: {"all": lambda: slowing.spend(next(seconds))} for name in "AB"}, 4, slowing)
    assert times["A"]["all"] == times["B"]["all"] == [2.5, 6.5, 10.5, 14.5]
    assert ratio(times["A"]["all"], times["B"]["all"]) == 1


def test_a_ratio_is_the_median_of_the_rounds():
    assert ratio([2, 4, 300], [1, 2, 3]) == 2


def test_the_garbage_collector_is_back_when_a_step_fails():
    with pytest.raises(ZeroDivisionError):
        interleaved({"own": {"all": lambda: 1 / 0}}, 1, Turned())
    assert gc.isenabled()


def test_one_thread_counts_processor_time_and_several_wall_time():
    assert type(clock_of(torch.device("cpu"), 1)) is ProcessorClock
    assert type(clock_of(torch.device("cpu"), 2)) is WallClock


# Counts


def test_saved_bytes_of_a_known_graph_are_counted_to_the_byte():
    w, x = torch.ones(3, 5, requires_grad=True), torch.ones(7, 5)
    assert saved_bytes(lambda: (x @ w.T).sum()) == x.numel() * 4  # x for the gradient of w; w is not asked for
    a = torch.ones(6, requires_grad=True)
    assert saved_bytes(lambda: (a * a).sum()) == 6 * 4  # one storage, saved twice
    assert saved_bytes(lambda: (a[:2] * a[2:4]).sum()) == 6 * 4  # two views of one storage keep it whole
    assert saved_bytes(lambda: a.exp().exp().sum()) == 2 * 6 * 4  # the two results
    assert saved_bytes(lambda: (a * a).sum(), held=[a]) == 0
    assert saved_bytes(lambda: a.sum()) == 0


def test_a_layers_memory_leaves_its_parameters_and_buffers_out():
    norm, x = nn.BatchNorm2d(4), torch.randn(2, 4, 3, 3, requires_grad=True)
    step = subjects.Step(norm, x, torch.ones_like(x), norm, lambda: None)
    own = x.numel() * 4 + 2 * 4 * 4  # x, the batch's means and inverse deviations
    assert step.memory() == own


def test_batch_norm_has_to_move_eight_times_its_input():
    assert subjects.roofline_bytes((32, 64, 56, 56), 4) == 8 * 32 * 64 * 56 * 56 * 4 == 205_520_896


def test_the_roofline_is_in_copies_of_the_same_rounds():
    x = torch.zeros(5, 10)
    times = {"own": {"step": [8.0, 8.0]}, "copy": {"step": [0.5, 0.5]}}
    found = adapter._roofline(times, x)
    assert found == {"copy_bandwidth": 2 * 200 / 0.5, "roofline_seconds": 2.0, "step_over_roofline": 4.0}


# Runs


@pytest.mark.parametrize(
    "recipe", [LAYER, {**LAYER, "frames": 2}, NETWORK, {**NETWORK, "frames": 2}], ids=["layer", "layer 3D", "network", "network 3D"]
)
@pytest.mark.parametrize("method", ["batch_norm", "l1_batch_norm"])
def test_a_run_gives_finite_positive_numbers_and_only_declared_ones(tmp_path, method, recipe):
    result = adapter.run(an_arm(method, recipe), 0, context(tmp_path))
    declared = set(read_task("cost").metrics)
    expected = declared if recipe["subject"] == "layer" else declared - OF_LAYERS
    assert result.trained.status == "finished" and set(result.metrics) == expected
    assert all(math.isfinite(v) and v > 0 for v in result.metrics.values())
    assert result.sites and result.n_parameters == (8 if recipe["subject"] == "layer" else result.n_parameters) > 0
    assert result.data_sha256 == adapter.prepare("noise", tmp_path) and (tmp_path / "noise").is_dir()
    assert not (result.probes or result.trained.curves)  # nothing but timings and counts of bytes


@pytest.mark.parametrize("recipe", [LAYER, NETWORK], ids=["layer", "network"])
def test_batch_norm_over_itself_is_one_where_every_look_at_the_clock_takes_a_second(tmp_path, recipe):
    metrics = adapter.run(an_arm(recipe=recipe), 0, context(tmp_path), Counting()).metrics
    assert [metrics[f"{phase}_ratio"] for phase in ("forward", "backward", "step", "peak_memory")] == [1] * 4
    assert (metrics["forward_seconds"], metrics["backward_seconds"], metrics["step_seconds"]) == (1, 1, 3)


def test_both_sides_start_alike_and_threads_are_given_back(tmp_path, monkeypatch):
    seen, before = {}, torch.get_num_threads()

    def look(steps, recipe, clock):
        seen.update({name: step.x.clone() for name, step in steps.items()}, threads=torch.get_num_threads())
        return {}

    monkeypatch.setattr(adapter, "measure", look)
    adapter.run(an_arm(recipe={**LAYER, "threads": before + 1}), 3, context(tmp_path))
    assert torch.equal(seen["own"], seen["baseline"]) and seen["threads"] == before + 1
    assert torch.get_num_threads() == before


def test_the_layer_is_the_norm_inside_the_network():
    method = load_method("l1_batch_norm")
    network = subjects.network_of(MODEL, method, method.params(), Recipe(**LAYER))
    assert subjects.norm_inside(network).site.name == "layer1.0.norm1"
    step = subjects.step_of(network, Recipe(**LAYER), 0, torch.device("cpu"))
    assert step.x.shape == (2, 4, 4, 4) and step.module is network.layer1[0].branch.norm1


@pytest.mark.parametrize("compiled", [False, True])
def test_compiled_says_whether_torch_compile_is_asked(monkeypatch, compiled):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module: asked.append(module) or module)
    method = load_method("batch_norm")
    recipe = Recipe(**{**LAYER, "compiled": compiled})
    step = subjects.step_of(subjects.network_of(MODEL, method, None, recipe), recipe, 0, torch.device("cpu"))
    assert asked == ([step.module] if compiled else [])


# What cannot be timed


def test_a_method_without_a_norm_there_is_refused_with_its_sentence(tmp_path):
    says = "methods/skipinit.py puts no norm at layer1.0.norm1 (4 features): there is no layer to time"
    assert adapter.check(an_arm("skipinit")) == says
    trained = adapter.run(an_arm("skipinit"), 0, context(tmp_path)).trained
    assert (trained.status, trained.cause) == ("refused", says)
    assert adapter.check(an_arm("skipinit", NETWORK)) is None


def test_without_a_compiler_a_compiled_run_is_refused_with_its_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    trained = adapter.run(an_arm(recipe={**LAYER, "compiled": True}), 0, context(tmp_path)).trained
    assert trained.status == "refused"
    assert trained.cause.startswith("torch.compile needs a compiler, and there is no no-such-compiler on this machine")
    assert adapter.run(an_arm(), 0, context(tmp_path), Counting()).trained.status == "finished"


@pytest.mark.parametrize(
    "change, facts",
    [
        ({"rounds": 0}, ["rounds", "1", "got 0"]),
        ({"batch_size": 0}, ["batch_size", "1", "got 0"]),
        ({"subject": "layr"}, ["subject", "'layr'", "'layer'", "'network'"]),
        ({"compile": True}, ["'compile'", "'compiled'"]),
    ],
    ids=lambda change: next(iter(change)) if isinstance(change, dict) else "",
)
def test_a_mistake_in_a_recipe_is_one_sentence(change, facts):
    with mistake("recipe: ", *facts):
        validated(recipe_schema("cost"), {**LAYER, **change}, "recipe")


def test_the_task_is_found_and_its_time_can_be_planned():
    assert load_adapter("cost") is adapter and recipe_schema("cost") is Recipe
    machine = Machine(seconds_per_run=1, seconds_per_layer=0, macs_per_second=1e9)
    one, two, compiled = ({**LAYER, **more} for more in ({}, {"rounds": 6}, {"compiled": True}))
    seconds = [expected_seconds(an_arm(recipe=recipe), machine) - 1 for recipe in (one, two, compiled)]
    assert seconds[1] == pytest.approx(2 * seconds[0]) and seconds[2] > seconds[0] > 0


def test_the_tiers_leave_the_layer_what_it_is_about():
    arm = read_paper("norm_matters").arms["cost_l1_compiled"]
    ((_, spec),) = points("norm_matters", "cost_l1_compiled", arm, read_tier("laptop"))
    recipe = Recipe(**spec.recipe)
    assert (recipe.batch_size, *recipe.shape(spec.model["width"])) == (32, 64, 56, 56) and recipe.compiled
