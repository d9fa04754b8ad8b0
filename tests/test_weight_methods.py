"""Methods that act on weights: weight norm, bounded weight norm, scaled weight standardization."""

import math

import pytest
import torch
from facts import mistake
from residual_nets import WEIGHTS, conv, normal, norms, site, small, standing, weights_of
from scipy import integrate, stats
from torch import nn

from normbench.hooks.methods import load_method
from normbench.hooks.reparametrization import ScaledWeightStandardization
from normbench.hooks.residual import ScaledSum
from normbench.models import plain_cnn


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
    with mistake("ReLU", "GELU"):
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
