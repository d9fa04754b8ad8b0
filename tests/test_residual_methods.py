"""Methods of the residual family and of weights: their equations in networks, where they stand, how they start."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import nn

from normbench.build import Builder, Refused
from normbench.errors import InputError
from normbench.methods import load_method
from normbench.models import plain_cnn, resnet, vgg
from normbench.reparametrization import ScaledWeightStandardization
from normbench.residual import Bias, CalibratedBias, ScaledSum
from normbench.sites import Site

RESIDUAL = ("none", "divide_sqrt2", "fixup", "skipinit", "regularized_skipinit", "rezero", "rescalenet")
WEIGHTS = ("weight_norm", "bounded_weight_norm", "scaled_weight_standardization")


class Blocks(nn.Module):
    """`depth` blocks on vectors (N, 1, C): join(x, f(x)), f being m linear layers with activations in front."""

    def __init__(self, name, depth=4, width=6, layers=2, **params):
        super().__init__()
        method = load_method(name)
        build, self.f, self.joins = Builder(method, method.params(**params), dims=1), nn.ModuleList(), nn.ModuleList()
        for k in range(1, depth + 1):
            at = build.at(f"block{k}", role="branch", k=k, depth=depth, length=layers, version=2, stage=0, stage_k=k)
            rows = [self._layer(at, i, width) for i in range(layers)]
            self.f.append(nn.Sequential(*[part for row in rows for part in row if part is not None]))
            self.joins.append(at.join("join", width))
        build.finish(self.double())

    @staticmethod
    def _layer(at, i, width):
        norm = at.norm(f"norm{i}", width, position=i, follows="weight", precedes="activation")
        act = at.activation(f"act{i}", width, nn.ReLU(), position=i)
        bias = at.bias(f"bias{i}", width, position=i, follows="activation", precedes="weight")
        weight = at.weight(f"fc{i}", nn.Linear(width, width, bias=False), position=i)
        return norm, act, bias, weight

    def forward(self, x):
        for f, join in zip(self.f, self.joins, strict=True):
            x = join(x, f(x))
        return x


def site(kind="join", features=6, layout="NCHW", **where):
    return Site(kind, "here", features, layout, **where)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small(name, seed=0, version=2, layers=(2, 2), params=None, **design):
    """A small network of images with transitions, in float64; the same weights before the method for equal seeds."""
    torch.manual_seed(seed)
    method = load_method(name)
    given = method.params(**(params or {}))
    design = {"block": "basic", "stem": "cifar", "width": 8, "num_classes": 3, **design}
    return resnet(layers=list(layers), version=version, method=method, params=given, **design).double()


def weights_of(model, role):
    return [p for p in model.sites if p.site.kind == "weight" and p.site.role == role]


# --- sums -----------------------------------------------------------------------------------------


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
        with pytest.raises(InputError, match="alpha must differ from 0 where learnable is false"):
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


# --- RescaleNet -----------------------------------------------------------------------------------

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


# --- Fixup ----------------------------------------------------------------------------------------


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


# --- weights --------------------------------------------------------------------------------------


def conv(c_in=5, c_out=6, seed=0, **keywords):
    torch.manual_seed(seed)
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False, **keywords).double()


def standing(name, layer, **params):
    method = load_method(name)
    return method.weight(site("weight", layer.weight.shape[0], role="plain"), method.params(**params), layer)


def norms(w):
    return w.detach().flatten(1).square().sum(1).sqrt()


def test_weight_norm_has_norm_g_and_equals_torchs():
    raw = conv().weight.detach().clone()
    ours, torchs = standing("weight_norm", conv()), nn.utils.parametrizations.weight_norm(conv())
    torch.testing.assert_close(ours.weight, raw, rtol=1e-12, atol=0)
    gain = torch.linspace(-1, 2, 6, dtype=torch.float64)
    with torch.no_grad():
        ours.parametrizations.weight[0].gain.copy_(gain.view(-1, 1, 1, 1))
        torchs.parametrizations.weight.original0.copy_(gain.view(-1, 1, 1, 1))
    torch.testing.assert_close(norms(ours.weight), gain.abs(), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(ours.weight, torchs.weight, rtol=1e-12, atol=1e-15)


def test_weight_norm_init_and_biases_of_beyond_batch_norm():
    layer = standing("weight_norm", conv(), init="one", mean_only_batch_norm=False)
    torch.testing.assert_close(norms(layer.weight), torch.ones(6, dtype=torch.float64))
    assert torch.equal(layer.bias, torch.zeros(6, dtype=torch.float64))
    assert standing("weight_norm", conv()).bias is None


@pytest.mark.parametrize("mean_only", [True, False])
def test_weight_norm_data_init_gives_outputs_deviation_one(mean_only):
    torch.manual_seed(0)
    method = load_method("weight_norm")
    model = plain_cnn(10, method=method, num_classes=3, width=4, params=method.params(mean_only_batch_norm=mean_only)).double()
    seen, x = [], normal(16, 3, 16, 16) * 3 + 1
    method.calibrate(model, model.sites, model.method_params, [x, 100 * x])
    hooks = [p.module.register_forward_hook(lambda m, i, out: seen.append(out)) for p in weights_of(model, "plain")]
    model.train()(x)
    assert len(seen) == len(hooks) == 10
    for out in seen:
        varies = out.std((0, 2, 3)) > 0
        assert varies.sum() >= 3
        deviation = out.var((0, 2, 3), correction=0).sqrt()
        torch.testing.assert_close(deviation[varies], torch.ones_like(deviation[varies]), rtol=1e-9, atol=0)
        if not mean_only:
            assert out.mean((0, 2, 3)).abs().max() < 1e-9


def test_scaled_relu_of_a_gaussian_has_mean_zero_and_deviation_one():
    method = load_method("weight_norm")
    act = method.activation(site("activation"), method.params(scaled_relu=True), nn.ReLU())

    def moment(power):
        def integrand(z):
            return act(torch.tensor(z, dtype=torch.float64)).item() ** power * stats.norm.pdf(z)

        return sum(integrate.quad(integrand, a, b)[0] for a, b in ((-12, 0), (0, 12)))

    assert moment(1) == pytest.approx(0, abs=1e-9)
    assert moment(2) == pytest.approx(1, abs=1e-9)
    with pytest.raises(InputError, match="derived for ReLU, got GELU"):
        method.activation(site("activation"), method.params(scaled_relu=True), nn.GELU())


def test_mean_only_batch_norm_in_training_and_evaluation():
    method = load_method("bounded_weight_norm")
    norm = method.norm(site("norm"), method.params(momentum=0.25)).double()
    with torch.no_grad():
        norm.bias.copy_(torch.arange(6))
    x = normal(4, 6, 3, 3) + 2
    mean = x.mean((0, 2, 3))
    torch.testing.assert_close(norm(x).mean((0, 2, 3)), torch.arange(6, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(norm.running_mean, 0.25 * mean, rtol=1e-12, atol=0)
    expected = x + (torch.arange(6) - 0.25 * mean).view(1, 6, 1, 1)
    torch.testing.assert_close(norm.eval()(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gains", ["none", "sphere"])
def test_bounded_weight_norm_keeps_its_norm_through_steps(gains):
    raw = conv().weight.detach()
    layer, x = standing("bounded_weight_norm", conv(), gains=gains), normal(3, 5, 4, 4)
    parametrization, frobenius = layer.parametrizations.weight[0], raw.norm().item()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    before = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).pow(3).sum().backward()
        optimizer.step()
    assert (layer.weight - before).norm() > 0.1
    assert layer.weight.norm().item() == pytest.approx(frobenius, rel=1e-12)
    rho = parametrization.rho.item()
    if gains == "none":
        assert rho == pytest.approx(frobenius / math.sqrt(6), rel=1e-12)
        torch.testing.assert_close(norms(layer.weight), torch.full((6,), rho, dtype=torch.float64), rtol=1e-12, atol=0)
    else:
        g = parametrization.gain.detach().flatten()
        torch.testing.assert_close(before, raw, rtol=1e-12, atol=0)
        torch.testing.assert_close(norms(layer.weight), rho * g.abs() / g.norm(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("bound", ["deviation", "variance", "sum"])
def test_scaled_weight_standardization(bound):
    layer, n = standing("scaled_weight_standardization", conv(), bound=bound, eps=1e-12), 45
    w, gamma = layer.weight.detach().flatten(1), math.sqrt(2) / math.sqrt(1 - 1 / math.pi)
    assert w.mean(1).abs().max() < 1e-12
    torch.testing.assert_close(w.var(1, correction=0) * n, torch.full((6,), gamma**2, dtype=torch.float64), rtol=1e-6, atol=0)
    assert torch.equal(layer.bias, torch.zeros(6, dtype=torch.float64))


def test_the_three_bounds_of_scaled_weight_standardization_differ_as_they_say():
    v = torch.tensor([[1.0, 3.0, 1.0, 3.0]], dtype=torch.float64)  # sigma 1, N 4
    got = {b: ScaledWeightStandardization(v, gamma=1.0, eps=5.0, bound=b)(v)[0, 1].item() for b in ("deviation", "variance", "sum")}
    assert got == pytest.approx({"deviation": 1 / (6 * 2), "variance": 1 / math.sqrt(24), "sum": 1 / math.sqrt(5)}, rel=1e-6)


@pytest.mark.parametrize("name", [*WEIGHTS, "nf_resnet"])
def test_weight_methods_leave_the_last_linear_layer_and_change_all_others(name):
    model = small(name, version=2)
    changed = {p.site.name: p.changed for p in model.sites if p.site.kind == "weight"}
    assert changed.pop("fc") is False
    assert len(changed) == 10
    assert all(changed.values())


@pytest.mark.parametrize("name", ["weight_norm", "scaled_weight_standardization"])
def test_skip_gain_is_skipinits_remedy(name):
    assert not any(isinstance(p.module, ScaledSum) for p in small(name).sites)
    gains = [p.module.gain.item() for p in small(name, params={"skip_gain": 0.25}).sites if p.site.kind == "join"]
    assert gains == [0.25] * 4


def test_regularized_skipinit_has_biases_in_all_convolutions():
    model = small("regularized_skipinit")
    convolutions = [p.module for p in model.sites if p.site.kind == "weight" and p.site.name != "fc"]
    assert all(torch.equal(c.bias, torch.zeros_like(c.bias)) for c in convolutions)
    bare = small("regularized_skipinit", params={"biases": False})
    assert all(p.module.bias is None for p in bare.sites if p.site.kind == "weight" and p.site.name != "fc")


# --- NF-ResNet ------------------------------------------------------------------------------------


def test_nf_resnet_betas_follow_the_variance_and_reset_behind_transitions():
    model = small("nf_resnet", layers=(2, 3, 2), params={"alpha": 0.5})
    betas = [p.module.beta.item() ** 2 for p in model.sites if p.site.kind == "norm" and p.changed]
    assert betas == pytest.approx([1, 1.25, 1.5, 1.25, 1.5, 1.75, 1.25], rel=1e-6)
    places = {(p.site.role, p.site.position) for p in model.sites if p.site.kind == "norm" and p.changed}
    assert places == {("branch", 0)}


def test_nf_resnet_keeps_the_predicted_variance():
    torch.manual_seed(0)
    method = load_method("nf_resnet")
    p = method.params(skip_gain=1.0, alpha=0.5)
    model = resnet(layers=[3, 3], block="basic", stem="cifar", width=128, num_classes=3, version=2, method=method, params=p)
    seen = []
    for placed in model.sites:
        if placed.site.kind == "norm" and placed.changed:
            placed.module.register_forward_hook(lambda m, i, out: seen.append(out.var().item()))
    model(torch.randn(8, 3, 16, 16))
    # x / beta has variance 1; the borders' zero padding takes a little from each convolution
    assert len(seen) == 6
    assert all(0.75 < var < 1.25 for var in seen), seen


def test_adaptive_gradient_clipping_by_hand():
    model = small("nf_resnet")
    parameters = dict(model.named_parameters())
    for i, p in enumerate(parameters.values()):
        p.grad = normal(*p.shape, seed=i) * (1e-4 if i % 2 else 1.0)
    before = {name: p.grad.clone() for name, p in parameters.items()}
    model.method.clip(model, model.sites, model.method_params)
    clipped = 0
    for name, p in parameters.items():
        grad = before[name]
        if name not in ("fc.weight", "fc.bias"):
            whole = p.ndim < 2 or max(p.shape[1:]) == 1
            rows = [()] if whole else [(i,) for i in range(p.shape[0])]
            grad = grad.clone()
            for row in rows:
                limit = 0.01 * max(p.detach()[row].pow(2).sum().sqrt().item(), 1e-3)
                size = grad[row].pow(2).sum().sqrt().item()
                if size > limit:
                    grad[row] = grad[row] * (limit / size)
                    clipped += 1
        torch.testing.assert_close(p.grad, grad, rtol=1e-10, atol=0, msg=name)
    assert clipped > 20


def test_without_clipping_gradients_stay():
    model = small("nf_resnet", params={"clipping": None})
    model(normal(2, 3, 8, 8)).sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    model.method.clip(model, model.sites, model.method_params)
    assert all(torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True))


# --- groups, refusals, parameters -----------------------------------------------------------------


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
    "name,params,sentence",
    [
        ("skipinit", {"alpha": "sqrt(d)"}, "alpha must be a number or '1/sqrt(d)', got 'sqrt(d)'"),
        ("divide_sqrt2", {"constant": 0}, "constant must be above 0 and at most 1, got 0"),
        ("fixup", {"lr_scale": 2}, "lr_scale must be above 0 and at most 1, got 2"),
        ("weight_norm", {"init": "ones"}, "init must be 'data', 'norm' or 'one', got 'ones'"),
        ("weight_norm", {"momentum": 0}, "momentum must be above 0 and at most 1, got 0"),
        ("weight_norm", {"skip_gain": math.inf}, "skip_gain must be null or a number, got inf"),
        ("bounded_weight_norm", {"gains": "ball"}, "gains must be 'none' or 'sphere', got 'ball'"),
        ("scaled_weight_standardization", {"bound": "std"}, "bound must be 'deviation', 'variance' or 'sum', got 'std'"),
        ("scaled_weight_standardization", {"eps": -1}, "eps must be 0 or more, got -1"),
        ("rescalenet", {"c": "2L"}, "c must be a positive number or one of L, L-1, 1, sqrt(L), L^2, got '2L'"),
        ("rescalenet", {"c": 0}, "c must be a positive number"),
        ("rescalenet", {"multiplier": "matrix"}, "multiplier must be 'none', 'scalar' or 'vector', got 'matrix'"),
        ("rescalenet", {"bias_batches": 2.5}, "bias_batches must be a whole number from 0 up, got 2.5"),
        ("nf_resnet", {"alpha": 0}, "alpha must be above 0, got 0"),
        ("nf_resnet", {"clipping": -0.1}, "clipping must be above 0 or null, got -0.1"),
    ],
)
def test_parameters_out_of_range_are_one_sentence(name, params, sentence):
    with pytest.raises(InputError) as error:
        load_method(name).params(**params)
    assert str(error.value).startswith(f"methods/{name}.py: ")
    assert sentence in str(error.value)
