"""RescaleNet: its coefficients, its calibrated biases and the networks that were released."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from residual_nets import Blocks, normal, site, small, weights_of
from torch import nn

from normbench.hooks.methods import load_method
from normbench.hooks.residual import CalibratedBias
from normbench.models import plain_cnn, resnet, vgg

C_RULES = st.sampled_from(["L", "1", "sqrt(L)", "L^2"]) | st.floats(0.1, 50)


@given(depth=st.integers(1, 60), c=C_RULES)
@settings(max_examples=60, deadline=None)
def test_rescalenet_keeps_variance_and_gives_branches_equal_coefficients(depth, c):
    method = load_method("rescalenet")
    p = method.params(c=c, multiplier="none", depth_scaled_init=False)
    joins = [method.join(site(k=k, depth=depth, length=2), p) for k in range(1, depth + 1)]
    number = {"L": depth, "1": 1, "sqrt(L)": depth**0.5, "L^2": depth**2}.get(c, c)
    after = 1.0  # product of the identity coefficients behind block k
    for join in reversed(joins):
        assert join.skip_scale**2 + join.branch_scale**2 == pytest.approx(1, abs=1e-12)
        assert join.branch_scale * after == pytest.approx((depth + number) ** -0.5, rel=1e-12)
        after *= join.skip_scale
    assert after == pytest.approx((number / (depth + number)) ** 0.5, rel=1e-12)


def test_rescalenet_c_of_the_released_code():
    depth, method = 16, load_method("rescalenet")
    p = method.params(c="L-1")
    for index in range(depth - 1, 2 * depth - 1):  # the code's block_idx
        join = method.join(site(k=index - depth + 2, depth=depth, length=3), p)
        assert join.skip_scale == pytest.approx(math.sqrt(index / (index + 1)), rel=1e-14)
        assert join.branch_scale == pytest.approx(depth**-0.5, rel=1e-14)
        model = SimpleNamespace(weight=nn.Parameter(torch.zeros(64, 8, 3, 3)), bias=None)
        place = site("weight", 64, k=index - depth + 2, depth=depth, length=3, position=0, role="branch")
        sites = [SimpleNamespace(site=place, module=model), SimpleNamespace(site=site(), module=join)]
        method.initialize(None, sites, p)
        expected = math.sqrt(2 / 72) * (index + 1) ** (-1 / 6) * depth ** (1 / 6)
        assert model.weight.std().item() == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("c", ["L", "1", 3.5])
@pytest.mark.parametrize("version", [1, 2])
def test_rescalenet_depth_scaled_init_is_the_same_function_at_first(c, version):
    x = normal(2, 3, 8, 8)
    nets = [small("rescalenet", version=version, params={"c": c, "depth_scaled_init": scaled}) for scaled in (True, False)]
    a, b = (net.eval()(x) for net in nets)
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    first = [weights_of(net, "branch")[0].module.weight for net in nets]
    assert (first[0] / first[1]).mean().item() != pytest.approx(1, abs=1e-3)


def test_rescalenet_stands_where_the_released_code_has_it():
    model = small("rescalenet", version=1, shortcut="avgpool_conv1x1", layers=(1, 1))
    biases = {p.site.name for p in model.sites if isinstance(p.module, CalibratedBias)}
    branches = {f"layer{stage}.0.before_conv{i}" for stage in (1, 2) for i in (1, 2)}
    assert biases == {"stem.before_act", "layer2.0.shortcut.before_conv", "before_pool"} | branches


# trainable parameters of the released networks: hukkai/rescaling @89ebc0e, models/{rescale,vgg}.py
@pytest.mark.parametrize("build,expected", [("rescale50", 25_528_568), ("rescaleX50_32x4d", 24_992_888), ("vgg19", 143_667_240)])
def test_rescalenet_has_the_parameters_of_the_released_networks(build, expected):
    method = load_method("rescalenet")
    with torch.device("meta"):
        if build == "vgg19":
            model = vgg(19, method=method, num_classes=1000)
        else:
            groups = {"groups": 32, "width_per_group": 4} if "X" in build else {}
            design = {"layers": [3, 4, 6, 3], "block": "bottleneck", "shortcut": "avgpool_conv1x1", **groups}
            model = resnet(method=method, num_classes=1000, version=1, **design)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_calibration_subtracts_the_mean_of_the_first_batches():
    model = small("rescalenet", version=1)
    batches = [normal(n, 3, 8, 8, seed=n) + 0.3 for n in (4, 7, 2)]
    model.method.calibrate(model.eval(), model.sites, model.method_params, batches)
    assert not model.training, "calibration has to leave the mode as it was"
    stem = next(p.module for p in model.sites if isinstance(p.module, CalibratedBias))
    out = model.stem.conv(torch.cat(batches))
    assert out.mean((0, 2, 3)).abs().min() > 1e-3
    assert stem(out).mean((0, 2, 3)).abs().max() < 1e-14


def test_calibration_of_later_biases_sees_what_the_earlier_subtract():
    model, batches = Blocks("rescalenet", depth=1, bias_batches=3), [normal(3, 1, 6, seed=n) for n in range(4)]
    model.method.calibrate(model, model.sites, model.method_params, batches)
    (relu, first, one, _, second, _), mean1, mean2 = model.f[0], 0, 0
    for t, x in enumerate(batches[:3], 1):  # only bias_batches of them
        a = relu(x)
        mean1 = mean1 + (a.mean((0, 1)) - mean1) / t
        b = relu(one(a - mean1))
        mean2 = mean2 + (b.mean((0, 1)) - mean2) / t
    torch.testing.assert_close(first.offset, -mean1, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(second.offset, -mean2, rtol=1e-12, atol=1e-14)


def test_calibration_is_frozen_saved_and_can_be_repeated():
    model, twin, x = Blocks("rescalenet"), Blocks("rescalenet"), normal(4, 1, 6)
    model.method.calibrate(model, model.sites, model.method_params, [x])
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()(normal(8, 1, 6, seed=5))
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    twin.load_state_dict(saved)
    assert torch.equal(twin(x), model(x))
    model.method.calibrate(model, model.sites, model.method_params, [normal(4, 1, 6, seed=9)])
    assert not torch.equal(model.f[0][1].offset, saved["f.0.1.offset"])
    model.method.calibrate(model, model.sites, model.method_params, [x])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, saved[name], rtol=1e-12, atol=1e-15)


def test_rescalenet_in_a_plain_network_only_biases_act():
    method = load_method("rescalenet")
    torch.manual_seed(0)
    model = plain_cnn(10, method=method, num_classes=3, width=4)
    torch.manual_seed(0)
    control = plain_cnn(10, method=load_method("none"), num_classes=3, width=4)
    assert torch.equal(weights_of(model, "plain")[3].module.weight, weights_of(control, "plain")[3].module.weight)
    assert {type(p.module) for p in model.sites if p.changed} == {CalibratedBias}
    assert sum(p.changed for p in model.sites) == 10  # in front of all convolutions but the first, and of the pool
