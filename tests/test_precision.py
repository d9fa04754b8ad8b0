"""Emulated half precision: each operation's result is what rounding it gives, forward and backward; and what that does to norms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from normbench import load_method
from normbench.hooks.sites import Site
from normbench.training.precision import Precision, Rounded

CPU = torch.device("cpu")
NUMBERS = st.floats(-1e5, 1e5, width=32, allow_subnormal=False)


def half(x: torch.Tensor, dtype=torch.float16) -> torch.Tensor:
    return x.to(dtype).to(x.dtype)


@given(st.lists(NUMBERS, min_size=3, max_size=3), st.sampled_from([torch.float16, torch.bfloat16]))
@settings(max_examples=60, deadline=None)
def test_each_operation_is_rounded_and_not_only_the_last(values, dtype):
    a, b, c = torch.tensor(values)
    with Rounded(dtype):
        found = (a * b) + c
    expected = half(half(a * b, dtype) + c, dtype)
    assert torch.equal(found, expected) or (found.isnan() and expected.isnan())


@pytest.mark.parametrize(
    "value, expected",
    [
        (65504.0, 65504.0),
        (65519.0, 65504.0),
        (65520.0, float("inf")),
        (-7e4, float("-inf")),
        (2.0**-24, 2.0**-24),  # the smallest subnormal
        (2.0**-26, 0.0),
        (1 + 2.0**-11, 1.0),  # half of a unit in the last place goes to even
        (1 + 3 * 2.0**-11, 1 + 2 * 2.0**-10),
    ],
)
def test_the_edges_of_float16(value, expected):
    with Rounded(torch.float16):
        found = torch.tensor(value) * 1
    assert found.item() == expected and found.dtype == torch.float32


def test_a_sum_is_accumulated_whole_and_rounded_once():
    x = torch.full((4096,), 1.0) + torch.arange(4096) * 2.0**-12
    with Rounded(torch.float16):
        found = x.sum()
    assert found == half(x.sum()) and found != x.sum()


def test_the_backward_pass_is_rounded_too():
    x = torch.tensor([1.001, 3.0], requires_grad=True)
    precision = Precision("emulated_float16", CPU)
    with precision.forward():
        y = (x * x * x).sum()
    with precision.backward():
        y.backward()
    # of (x x) x: the last factor's gradient is the rounded square, the first's x, which reaches x twice; then all are summed
    last, first = half(x.detach() ** 2), half(half(x.detach()) * x.detach())
    assert torch.equal(x.grad, half(half(first + first) + last))
    assert not torch.equal(x.grad, 3 * x.detach() ** 2)


def test_gradients_below_the_range_are_lost_without_a_loss_scale():
    def gradient(scale: float) -> float:
        x = torch.tensor(1.0, requires_grad=True)
        with Rounded(torch.float16):
            (x * 2.0**-26 * scale).backward()
        return x.grad.item()

    assert gradient(1.0) == 0.0
    assert gradient(Precision.LOSS_SCALE) == 2.0**-16
    assert Precision("emulated_float16", CPU).loss_scale == Precision.LOSS_SCALE
    assert Precision("emulated_bfloat16", CPU).loss_scale == 1.0


def test_views_stay_views_and_operations_in_place_stay_in_place():
    x = torch.arange(6.0)
    with Rounded(torch.float16):
        row = x.view(2, 3)[1]
        left, right = x.chunk(2)
        row.add_(2.0**-12)
        left.mul_(1.0001)
        right[0] = 70000.0
        same = x.add_(0.0)
    assert same is x
    assert row.data_ptr() == x[3:].data_ptr() and left.data_ptr() == x.data_ptr()
    assert x.tolist() == [0.0, 1.0, 2.0, float("inf"), 4.0, 5.0]


def test_whole_numbers_and_masks_are_left_alone():
    with Rounded(torch.float16):
        n = torch.tensor([100_001]) + 1
        mask = torch.tensor([1.0, 2.0]) > 1
    assert n.item() == 100_002 and mask.tolist() == [False, True]


@pytest.mark.parametrize("precision", ["float32", "amp_float16", "amp_bfloat16"])
def test_other_formats_round_nothing_by_themselves(precision):
    chosen, value = Precision(precision, CPU), torch.tensor(70000.123)
    with chosen.forward(), chosen.backward():
        assert (value * 1).item() == value.item()
    assert chosen.loss_scale == 1.0
    assert not chosen.scaler.is_enabled()  # no scaler on a CPU


def test_autocast_computes_matrix_products_in_its_format():
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    with Precision("amp_bfloat16", CPU).forward():
        assert layer(x).dtype == torch.bfloat16
    with Precision("float32", CPU).forward():
        assert layer(x).dtype == torch.float32


def normalized(method: str, x: torch.Tensor, **params) -> torch.Tensor:
    chosen = load_method(method)
    norm = chosen.norm(Site("norm", "norm1", x.shape[1], "NCHW"), chosen.params(**params))
    with Rounded(torch.float16):
        return norm(x)


def test_squares_overflow_above_256_where_absolute_values_do_not():
    generator = torch.Generator().manual_seed(0)
    x = half(torch.randn(4, 2, 3, 3, generator=generator))
    # 250 alone has a square that float16 holds, 300 has not.
    for scale, overflows in ((50.0, False), (1000.0, True)):
        l2, l1 = normalized("batch_norm", half(x * scale), fused=False), normalized("l1_batch_norm", half(x * scale))
        exact = nn.functional.batch_norm(half(x * scale), None, None, training=True)
        assert l1.isfinite().all() and l1.std() > 0.5
        if overflows:
            assert not (l2 - exact).abs().max() < 0.5
        else:
            torch.testing.assert_close(l2, exact, rtol=0.02, atol=0.02)
