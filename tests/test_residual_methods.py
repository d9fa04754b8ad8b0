"""Methods that act on the sums of residual networks: their equations in networks, how they start, what they refuse."""

import math

import pytest
import torch
from facts import mistake
from residual_nets import Blocks, normal, site, small, weights_of
from torch import nn

from normbench.hooks.builder import Refused
from normbench.hooks.methods import load_method
from normbench.hooks.residual import Bias, ScaledSum
from normbench.models import plain_cnn, resnet


@pytest.mark.parametrize("layout,shape", [("NCHW", (2, 6, 3, 3)), ("NCTHW", (2, 6, 2, 3, 3)), ("NLC", (2, 5, 6))])
def test_scaled_sum_with_a_gain_per_channel(layout, shape):
    join = ScaledSum(site(layout=layout), skip_scale=0.5, branch_scale=3.0, gain="vector", init=2.0, skip_gain=True).double()
    with torch.no_grad():
        join.gain += torch.arange(6)
        join.skip_gain.fill_(-1.5)
    skip, branch = normal(*shape), normal(*shape, seed=1)
    dim = {"NLC": 2}.get(layout, 1)
    got = join(skip, branch)
    for c in range(6):
        expected = -0.75 * skip.select(dim, c) + 3 * (2 + c) * branch.select(dim, c)
        torch.testing.assert_close(got.select(dim, c), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["skipinit", "rezero", "regularized_skipinit", "fixup"])
def test_blocks_are_the_identity_at_first_and_still_learn(name):
    model, x = Blocks(name), normal(5, 1, 6)
    y = model(x)
    assert torch.equal(y, x)
    y.square().sum().backward()
    first = weights_of(model, "branch")[1].module.weight if name == "fixup" else model.joins[0].gain
    assert first.grad.abs().max() > 1e-6


@pytest.mark.parametrize("alpha,first", [(0.0, 0.0), ("1/sqrt(d)", 1 / 3), (1, 1.0)])
@pytest.mark.parametrize("learnable", [True, False])
def test_skipinit_alpha(alpha, first, learnable):
    method = load_method("skipinit")
    if alpha == 0 and not learnable:
        with mistake("methods/skipinit.py", "alpha", "0", "learnable"):
            method.params(alpha=alpha, learnable=False)
        return
    join = method.join(site(k=2, depth=9), method.params(alpha=alpha, learnable=learnable))
    skip, branch = normal(2, 6, 3, 3), normal(2, 6, 3, 3, seed=1)
    torch.testing.assert_close(join.double()(skip, branch), skip + first * branch, rtol=1e-7, atol=1e-7)
    assert [p.shape for p in join.parameters()] == ([torch.Size([])] if learnable else [])


def test_without_normalization_variance_doubles_and_scaled_sums_keep_it():
    branches = [normal(100_000, seed=k) for k in range(1, 9)]
    for name, params, expected in (
        ("skipinit", {"alpha": 1.0}, 9.0),
        ("divide_sqrt2", {}, 1.0),
        ("rescalenet", {"depth_scaled_init": False}, 1.0),
    ):
        method, x = load_method(name), normal(100_000)
        for k, branch in enumerate(branches, 1):
            join = method.join(site(features=1, layout="NLC", k=k, depth=8, length=2), method.params(**params)).double()
            x = join(x[:, None], branch[:, None])[:, 0]
        assert x.var().item() == pytest.approx(expected, rel=0.02), name
    x = normal(100_000)
    for k, branch in enumerate(branches, 1):
        x = x + x.std() * branch
        assert x.var().item() == pytest.approx(2**k, rel=0.03)


@pytest.mark.parametrize("block,power", [("basic", -1 / 2), ("bottleneck", -1 / 4)])
@pytest.mark.parametrize("version", [1, 2])
def test_fixup_scales_branches_and_zeroes_their_last_layer_and_the_classifier(block, power, version):
    design = {"block": block, "width": 64, "layers": (1, 2), "version": version}
    model, plain = small("fixup", **design), small("none", **design)
    for role in ("stem", "branch", "shortcut", "head"):
        for ours, standard in zip(weights_of(model, role), weights_of(plain, role), strict=True):
            zero = role == "head" or (role == "branch" and ours.site.position == ours.site.length - 1)
            factor = 0.0 if zero else 3**power if role == "branch" else 1.0
            torch.testing.assert_close(ours.module.weight, standard.module.weight * factor, rtol=1e-6, atol=0)
    assert torch.equal(model(normal(2, 3, 8, 8)), torch.zeros(2, 3, dtype=torch.float64))


def test_fixup_has_the_parameters_of_the_released_network_and_one_bias_more_a_projection():
    with torch.device("meta"):
        model = resnet(50, method=load_method("fixup"), num_classes=1000)
    released = 25_504_026  # hongyi-zhang/Fixup @f3fa449, fixup_resnet50
    assert sum(p.numel() for p in model.parameters()) == released + 4


def test_fixup_scalars_and_biases_learn_at_a_tenth():
    model = small("fixup", version=1, layers=(1, 1))
    (group,) = model.method.groups(model, model.sites, model.method_params)
    names = {id(p): name for name, p in model.named_parameters()}
    slow = {names[id(p)] for p in group["params"]}
    assert group["lr_scale"] == 0.1
    assert slow == {name for name in names.values() if name.endswith((".bias", ".gain"))}
    assert len(group["params"]) == len(slow) == 14  # stem 1; blocks 4 biases and 1 scalar each; 1 projection; 2 of the classifier


@pytest.mark.parametrize("name", ["rescalenet", "nf_resnet"])
def test_biases_and_gains_take_no_decay(name):
    model = small(name)
    (group,) = model.method.groups(model, model.sites, model.method_params)
    names = {id(p): n for n, p in model.named_parameters()}
    expected = {n for n in names.values() if n.endswith((".bias", ".gain")) and (name == "nf_resnet" or n != "fc.bias")}
    assert group["weight_decay"] == 0.0
    assert len(group["params"]) == len(expected)
    assert {names[id(p)] for p in group["params"]} == expected


@pytest.mark.parametrize("name", ["divide_sqrt2", "fixup", "skipinit", "regularized_skipinit", "rezero", "nf_resnet"])
def test_plain_networks_are_refused_with_a_sentence(name):
    with pytest.raises(Refused, match=rf"methods/{name}.py cannot stand at body.conv1 .* plain network has none"):
        plain_cnn(10, method=load_method(name), num_classes=3, width=4)


def test_nf_resnet_refuses_blocks_that_activate_after_the_join():
    with pytest.raises(Refused, match="blocks that activate before the branch: build the model with version 2"):
        small("nf_resnet", version=1)


def test_divide_sqrt2_with_batch_norm():
    model = small("divide_sqrt2", version=1, params={"batch_norm": True})
    assert all(isinstance(p.module, nn.BatchNorm2d) for p in model.sites if p.site.kind == "norm")
    assert all(p.module is None for p in small("divide_sqrt2", version=1).sites if p.site.kind == "norm")
    with pytest.raises(Refused, match="for images and clips"):
        Blocks("divide_sqrt2", batch_norm=True)


def test_scalar_biases_have_one_value():
    assert Bias(site("bias")).bias.shape == ()
    x = normal(2, 6, 3, 3)
    assert torch.equal(Bias(site("bias"), per_channel=True).double()(x), x)


@pytest.mark.parametrize(
    "name,params,facts",
    [
        ("skipinit", {"alpha": "sqrt(d)"}, ["alpha", "number", "'1/sqrt(d)'", "'sqrt(d)'"]),
        ("divide_sqrt2", {"constant": 0}, ["constant", "above 0", "at most 1", "got 0"]),
        ("fixup", {"lr_scale": 2}, ["lr_scale", "above 0", "at most 1", "got 2"]),
        ("weight_norm", {"init": "ones"}, ["init", "'data'", "'norm'", "'one'", "'ones'"]),
        ("weight_norm", {"momentum": 0}, ["momentum", "above 0", "at most 1", "got 0"]),
        ("weight_norm", {"skip_gain": math.inf}, ["skip_gain", "null", "number", "got inf"]),
        ("bounded_weight_norm", {"gains": "ball"}, ["gains", "'none'", "'sphere'", "'ball'"]),
        ("scaled_weight_standardization", {"bound": "std"}, ["bound", "'deviation'", "'variance'", "'sum'", "'std'"]),
        ("scaled_weight_standardization", {"eps": -1}, ["eps", "0 or more", "got -1"]),
        ("rescalenet", {"c": "2L"}, ["c must", "positive", "L-1", "sqrt(L)", "L^2", "'2L'"]),
        ("rescalenet", {"c": 0}, ["c must", "positive", "got 0"]),
        ("rescalenet", {"multiplier": "matrix"}, ["multiplier", "'none'", "'scalar'", "'vector'", "'matrix'"]),
        ("rescalenet", {"bias_batches": 2.5}, ["bias_batches", "whole number", "from 0", "got 2.5"]),
        ("nf_resnet", {"alpha": 0}, ["alpha", "above 0", "got 0"]),
        ("nf_resnet", {"clipping": -0.1}, ["clipping", "above 0", "null", "got -0.1"]),
    ],
)
def test_parameters_out_of_range_are_one_sentence(name, params, facts):
    with mistake(f"methods/{name}.py", *facts):
        load_method(name).params(**params)
