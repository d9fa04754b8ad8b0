"""The cost task's transformer: its sites, its values beside torch's own layer, and the baseline that it is timed beside."""

from pathlib import Path

import pytest
import torch
from facts import mistake
from test_cost import Counting
from torch import nn

from normbench import load_method
from normbench.config.cost_model import expected_seconds
from normbench.config.papers import read_paper
from normbench.config.spec import ArmSpec
from normbench.config.tasks import read_task, work_of
from normbench.config.tiers import points, read_tier
from normbench.execution.task_api import Context
from tasks.cost import adapter, subjects
from tasks.cost.recipe import Recipe
from tasks.cost.transformer import transformer

TOKENS = {"subject": "network", "batch_size": 2, "pixels": 3, "rounds": 3}
MODEL = {"family": "transformer", "baseline": "layer_norm", "depth": 2, "width": 8, "heads": 2}
OF_TORCH = {  # parts of a layer here -> parts of torch's
    "attention.branch.norm": "norm1",
    "attention.branch.in_proj": "self_attn.in_proj",
    "attention.branch.out_proj": "self_attn.out_proj",
    "feedforward.branch.norm": "norm2",
    "feedforward.branch.linear1": "linear1",
    "feedforward.branch.linear2": "linear2",
}


def an_arm(method: str = "layer_norm", model: dict = MODEL, recipe: dict = TOKENS) -> ArmSpec:
    return ArmSpec("cost", "noise", model, method, {}, recipe)


def context(tmp_path: Path) -> Context:
    return Context(torch.device("cpu"), tmp_path)


def network(method: str = "layer_norm", **more) -> nn.Module:
    return transformer(method=load_method(method), num_classes=5, **{"width": 8, "depth": 2, "heads": 2, **more})


@pytest.mark.parametrize("method", ["layer_norm", "batch_norm", "l1_batch_norm", "rms_norm", "dynamic_tanh", "none", "rezero"])
def test_tokens_become_class_scores_and_gradients_arrive_everywhere(method):
    model = network(method).train()
    scores = model(torch.randn(3, 7, 8))
    assert scores.shape == (3, 5)
    scores.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_the_sites_handed_out():
    sites = [p.site for p in network().sites]
    assert {site.layout for site in sites} == {"NLC"} and len({site.name for site in sites}) == len(sites)
    names = {kind: [site.name for site in sites if site.kind == kind] for kind in ("norm", "join", "weight", "activation")}
    layers = ("layer1", "layer2")
    assert names["norm"] == [f"{layer}.{block}.norm" for layer in layers for block in ("attention", "feedforward")] + ["head.norm"]
    of_layer = ("attention.in_proj", "attention.out_proj", "feedforward.linear1", "feedforward.linear2")
    assert names["weight"] == [f"{layer}.{weight}" for layer in layers for weight in of_layer] + ["head.fc"]
    assert names["activation"] == [f"{layer}.feedforward.act" for layer in layers]
    assert [(site.k, site.depth) for site in sites if site.kind == "join"] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    features = {site.name: site.features for site in sites}
    assert (features["layer1.attention.in_proj"], features["layer1.feedforward.linear1"], features["head.fc"]) == (24, 32, 5)
    assert {site.role for site in sites if site.name.startswith("head.")} == {"head"}


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_layer_with_layer_norm_is_torchs_own(activation):
    model = network(width=16, depth=1, heads=4, expansion=3, activation=activation).eval()
    torchs = nn.TransformerEncoderLayer(16, 4, 48, 0.0, activation, batch_first=True, norm_first=True).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)  # no scale at 1 and no shift at 0 hides a mistake
    state = {}
    for ours, theirs in OF_TORCH.items():
        part = model.layer1.get_submodule(ours)
        dot = "_" if theirs.endswith("in_proj") else "."
        state |= {f"{theirs}{dot}weight": part.weight, f"{theirs}{dot}bias": part.bias}
    torchs.load_state_dict(state)
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(model.layer1(x), torchs(x), rtol=1e-5, atol=1e-5)
    by_hand = model.fc(nn.functional.layer_norm(torchs(x), (16,), model.norm.weight, model.norm.bias).mean(1))
    torch.testing.assert_close(model(x), by_hand, rtol=1e-5, atol=1e-5)


def test_layer_norm_over_itself_is_one_where_every_look_at_the_clock_takes_a_second(tmp_path):
    result = adapter.run(an_arm(), 0, context(tmp_path), Counting())
    assert [result.metrics[f"{phase}_ratio"] for phase in ("forward", "backward", "step", "peak_memory")] == [1] * 4
    assert result.trained.status == "finished" and len(result.sites) == 20


def test_the_baseline_is_the_one_that_the_model_names(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(adapter, "measure", lambda steps, recipe, clock: seen.update(steps) or {})
    adapter.run(an_arm("l1_batch_norm"), 3, context(tmp_path))
    assert isinstance(seen["baseline"].module.norm, nn.LayerNorm) and seen["own"].module.method.name == "l1_batch_norm"
    assert seen["own"].x.shape == (2, 9, 8) and torch.equal(seen["own"].x, seen["baseline"].x)
    adapter.run(an_arm(model={k: v for k, v in MODEL.items() if k != "baseline"}), 3, context(tmp_path))
    assert seen["baseline"].module.method.name == "batch_norm"
    models = read_task("cost").models
    assert {name: model.get("baseline") for name, model in models.items() if "baseline" in model} == {"transformer": "layer_norm"}


@pytest.mark.parametrize("method", ["group_norm", "evonorm_b0", "evonorm_s0"])
def test_a_method_that_cannot_stand_on_tokens_is_refused_with_its_sentence(tmp_path, method):
    trained = adapter.run(an_arm(method), 0, context(tmp_path)).trained
    assert trained.status == "refused" and trained.cause == adapter.check(an_arm(method))
    assert trained.cause.startswith(f"methods/{method}.py cannot stand at layer1.attention.norm (norm, 8 features): ")


@pytest.mark.parametrize(
    "model, recipe, facts",
    [
        ({}, {"subject": "layer"}, ["recipe", "transformer", "subject: network", "frames"]),
        ({}, {"frames": 2}, ["recipe", "transformer", "subject: network", "frames"]),
        ({"heads": 3}, {}, ["model transformer", "heads", "3", "width", "8"]),
        ({"head": 2}, {}, ["model transformer", "'head'", "'heads'"]),
        ({"depth": 0}, {}, ["model transformer", "depth", "whole number", "1", "got 0"]),
        ({"baseline": "layer_nrm"}, {}, ["methods/", "'layer_nrm'", "'layer_norm'"]),
    ],
    ids=["layer", "frames", "heads", "argument", "depth", "baseline"],
)
def test_a_mistake_is_one_sentence(model, recipe, facts):
    with mistake(*facts):
        adapter.check(an_arm(model=MODEL | model, recipe=TOKENS | recipe))


def test_the_work_of_a_layer_is_its_multiply_adds():
    linear = 9 * 8 * (3 * 8 + 8 + 2 * 4 * 8)  # of 9 tokens
    assert work_of("cost")(an_arm(), read_task("cost").datasets["noise"])[:2] == (8, 2 * 2 * (linear + 2 * 9 * 9 * 8))


def test_the_laptop_tier_affords_the_task_and_sweeps_what_the_figures_show():
    tier, paper, expected = read_tier("laptop"), read_paper("norm_matters"), {}
    for name, arm in paper.arms.items():
        for _, spec in points("norm_matters", name, arm, tier) if arm.task == "cost" else ():
            expected[spec.id] = expected_seconds(spec, tier.machine) * len(tier.seeds_of("cost"))
            if spec.model["family"] == "transformer":
                model, recipe = spec.model, Recipe(**spec.recipe)
                assert subjects.network_of(model, load_method(arm.method), None, recipe).sample_shape == (196, 128)
    assert sum(expected.values()) < 240  # seconds
    assert {figure.along: len(figure.arms) for figure in paper.figures} == {"batch_size": 2, "pixels": 2}
