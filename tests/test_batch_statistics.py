"""Batch statistics of the norm methods: constants, the L1 gradient written by hand, half precision, running values, top-k."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norm_samples import BATCH_NORMS, gaussian, make, trained_step
from torch import nn

from normbench.hooks.norms import gaussian_maximum, instance_moments, pooled_variance
from normbench.training.precision import Rounded

# constants


@given(n=st.integers(2, 10**7))
@settings(max_examples=30, deadline=None)
def test_the_constant_of_the_largest_value(n):
    assert gaussian_maximum(n) == pytest.approx(0.5 * (1 + (math.pi * math.log(4)) ** 0.5) / (2 * math.log(n)) ** 0.5, rel=1e-14)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("l1_batch_norm", 0.97, 1.03), ("linf_batch_norm", 0.6, 1.6), ("topk_batch_norm", 0.6, 1.6)]
)
def test_gaussian_input_comes_out_at_about_unit_deviation(name, low, high):
    y = make(name).double()(5 * gaussian(32, 6, 16, 16) + 3)
    deviations = y.std((0, 2, 3))
    assert ((deviations > low) & (deviations < high)).all(), deviations


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_constant_scale_divides_the_output(factor):
    x = gaussian(8, 6, 4, 4)
    torch.testing.assert_close(make("l1_batch_norm", constant_scale=factor, eps=0.0)(x) * factor, make("l1_batch_norm", eps=0.0)(x))


def test_variance_norm_keeps_the_mean():
    x = gaussian(16, 6, 4, 4) + 10
    y = make("variance_norm").double()(x)
    torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(6, dtype=torch.float64), rtol=1e-4, atol=0)
    assert (y.mean((0, 2, 3)) > 8).all()


@given(groups=st.integers(1, 5), size=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_pooled_variance_is_that_of_the_whole(groups, size, seed):
    x = gaussian(3, groups, size, 2, seed=seed) * 3 + 100
    mean, var = instance_moments(x, 1)
    torch.testing.assert_close(
        pooled_variance(mean, var, 0).flatten(), x.transpose(0, 1).flatten(1).var(1, correction=0), rtol=0, atol=1e-10
    )


# L1, whose gradient is written by hand


@pytest.mark.parametrize("chunk_bytes", [1, 2000, 2**20])
def test_l1_by_chunks_is_l1_by_autograd(monkeypatch, chunk_bytes):
    module = make("l1_batch_norm").double()
    monkeypatch.setitem(module.normalize.func.__globals__, "CHUNK_BYTES", chunk_bytes)
    x = 2 * gaussian(7, 6, 4, 5) + 1
    nn.init.uniform_(module.weight, 0.5, 2.0)
    y, gradients = trained_step(module, x)
    weight, bias, plain_x = (t.detach().clone().requires_grad_() for t in (module.weight, module.bias, x))
    centered = plain_x - plain_x.mean((0, 2, 3), keepdim=True)
    deviation = math.sqrt(math.pi / 2) * centered.abs().mean((0, 2, 3), keepdim=True)
    plain = centered / (deviation + 1e-5) * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)
    torch.testing.assert_close(y, plain.detach(), rtol=0, atol=1e-12)
    expected = torch.autograd.grad(plain, [plain_x, weight, bias], gaussian(*y.shape, seed=9))
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-11)


def test_l1_takes_a_gradient_that_is_expanded_and_one_that_is_transposed():
    x = gaussian(4, 6, 3, 3)
    for reduce in (torch.sum, lambda y: (y.transpose(0, 1) * gaussian(6, 4, 3, 3, seed=3)).sum()):
        ours, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
        reduce(make("l1_batch_norm").double()(ours)).backward()
        centered = plain - plain.mean((0, 2, 3), keepdim=True)
        reduce(centered / (math.sqrt(math.pi / 2) * centered.abs().mean((0, 2, 3), keepdim=True) + 1e-5)).backward()
        torch.testing.assert_close(ours.grad, plain.grad, rtol=0, atol=1e-12)


def test_l1_refuses_to_be_differentiated_twice():
    x = gaussian(4, 6, 3, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(make("l1_batch_norm").double()(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


# half precision


def test_l1_survives_where_the_separate_operations_of_batch_norm_overflow():
    x = 500 * gaussian(8, 6, 4, 4, dtype=torch.float32)
    outputs = {}
    for name, params in (("l1_batch_norm", {}), ("batch_norm", {"fused": False}), ("batch_norm", {})):
        with Rounded(torch.float16):
            outputs[name, bool(params)] = make(name, **params)(x)
    assert torch.isfinite(outputs["l1_batch_norm", False]).all()
    assert 0.9 < outputs["l1_batch_norm", False].std() < 1.1
    # x * x is infinite, and so is its mean: every output is 0 / infinity or infinity - infinity
    broken = outputs["batch_norm", True]
    assert not torch.isfinite(broken).all() or (broken.abs() < 1e-3).all()
    assert torch.isfinite(outputs["batch_norm", False]).all(), "one kernel accumulates in single precision"


def test_the_separate_operations_square_before_they_center():
    x = 300 + gaussian(8, 6, 4, 4, dtype=torch.float32)
    with Rounded(torch.float16):
        assert not torch.isfinite(make("batch_norm", fused=False)(x)).any(), "300^2 is beyond float16"
        assert torch.isfinite(make("l1_batch_norm")(x)).all()


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_gradients_stay_finite_in_float16(name):
    module = make(name).half()
    x = (100 * gaussian(8, 6, 4, 4)).half()
    y, gradients = trained_step(module, x)
    assert y.dtype == torch.float16
    assert all(g.dtype == torch.float16 and torch.isfinite(g).all() for g in gradients)


# running statistics and top-k


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_running_statistics_after_two_batches_by_hand(name):
    module = make(name, momentum=0.25).double()
    batches = [gaussian(4, 6, 3, 3, seed=s) * (s + 1) + s for s in (0, 1)]
    dims, n = (0, 2, 3), 36
    of = {
        "running_mean": lambda x: x.mean(dims),
        "running_var": lambda x: x.var(dims, correction=1),
        "running_deviation": {
            "l1_batch_norm": lambda x: math.sqrt(math.pi / 2) * _away(x).mean(1),
            "linf_batch_norm": lambda x: gaussian_maximum(n) * _away(x).amax(1),
            "topk_batch_norm": lambda x: gaussian_maximum(n) * _away(x).sort(1).values[:, -10:].mean(1),
        }.get(name),
    }
    running = {k: b.clone() for k, b in module.named_buffers() if k.startswith("running_")}
    for x in batches:
        module(x)
        running = {k: 0.75 * old + 0.25 * of[k](x) for k, old in running.items()}
    for k, expected in running.items():
        torch.testing.assert_close(module.get_buffer(k), expected, rtol=0, atol=1e-12)


def _away(x):
    rows = x.transpose(0, 1).flatten(1)
    return (rows - rows.mean(1, keepdim=True)).abs()


@pytest.mark.parametrize("shape", [(3, 6, 2, 2), (4, 6, 5, 5), (40, 6, 1, 1), (2, 6, 1, 2)])
def test_top_k_takes_the_largest_of_all_samples_and_all_where_there_are_fewer(shape):
    x = gaussian(*shape)
    module = make("topk_batch_norm", momentum=1.0).double()
    module(x)
    n = x.numel() // 6
    expected = gaussian_maximum(n) * _away(x).sort(1, descending=True).values[:, :10].mean(1)
    torch.testing.assert_close(module.running_deviation, expected, rtol=0, atol=1e-12)


def test_smoothing_remembers_and_the_first_batch_counts_whole():
    plain, smooth = make("topk_batch_norm", eps=0.0).double(), make("topk_batch_norm", eps=0.0, smoothing=0.75).double()
    x = gaussian(4, 6, 5, 5)
    torch.testing.assert_close(smooth(x), plain(x), rtol=0, atol=1e-12)
    # three times the values: the denominator is 0.75 + 0.25 * 3 = 1.5 of the first one instead of 3
    torch.testing.assert_close(smooth(3 * x), 2 * plain(3 * x), rtol=0, atol=1e-12)


def test_smoothing_leaves_the_running_statistics_to_the_batches():
    module = make("topk_batch_norm", smoothing=0.75, momentum=1.0).double()
    for x in (gaussian(4, 6, 5, 5), 3 * gaussian(4, 6, 5, 5, seed=1)):
        module(x)
        expected = gaussian_maximum(100) * _away(x).sort(1).values[:, -10:].mean(1)
        torch.testing.assert_close(module.running_deviation, expected, rtol=0, atol=1e-12)
