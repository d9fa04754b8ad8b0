"""What must not matter to a test does not: the order of sides and seeds, the direction of a metric, its unit. Mistakes are one sentence."""

import dataclasses
import math

import pytest
from facts import mistake
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from verdict_samples import TEN, TESTS, UNRELATED, around, points, powers, sample, series

from normbench.claims.decision import all_of
from normbench.claims.outcomes import Sample

few = settings(max_examples=40, deadline=None)
values = st.lists(st.floats(0, 100).map(lambda v: round(v, 2)), min_size=2, max_size=5)


def spread(*sides):
    return all(max(s) - min(s) > 0.05 for s in sides)


@given(values, values, st.floats(0, 5))
@few
def test_swapping_the_sides_swaps_support_and_contradiction(a, b, margin):
    assume(spread(a, b))
    a, b = sample("a", a), sample("b", b)
    ours, theirs = TESTS["better"](a, b), TESTS["better"](b, a)
    assert (ours.p_support, ours.p_contradict, ours.effect) == pytest.approx((theirs.p_contradict, theirs.p_support, -theirs.effect))
    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low))
    ours, theirs = TESTS["within"](a, b, margin), TESTS["within"](b, a, margin)
    assert (ours.p_support, ours.p_contradict) == pytest.approx((theirs.p_support, theirs.p_contradict))


@given(values, values)
@few
def test_a_loss_is_a_score_turned_over(a, b):
    assume(spread(a, b))
    higher = TESTS["not_worse"](sample("a", a), sample("b", b), 1.0)
    turned = [sample(label, [100 - v for v in side], direction="lower") for label, side in (("a", a), ("b", b))]
    lower = TESTS["not_worse"](*turned, 1.0)
    for field in ("effect", "low", "high", "p_support", "p_contradict", "detectable"):
        assert getattr(lower, field) == pytest.approx(getattr(higher, field), rel=1e-6, abs=1e-9), field


@given(values, values, st.floats(-1000, 1000), st.sampled_from([0.01, 1.0, 100.0]))
@few
def test_shifting_all_values_changes_nothing_and_scaling_scales(a, b, shift, scale):
    assume(spread(a, b))
    plain = TESTS["within"](sample("a", a), sample("b", b), 1.0)
    moved = [sample(label, [scale * (v + shift) for v in side]) for label, side in (("a", a), ("b", b))]
    other = TESTS["within"](*moved, scale)
    assert (other.p_support, other.p_contradict) == pytest.approx((plain.p_support, plain.p_contradict), rel=1e-5, abs=1e-7)
    assert (other.effect, other.low, other.high) == pytest.approx(
        tuple(scale * v for v in (plain.effect, plain.low, plain.high)), rel=1e-6, abs=1e-7 * scale
    )


@given(st.permutations(range(5)))
@few
def test_the_order_of_seeds_does_not_matter_even_for_pairs(order):
    a, b = sample("a", [50, 60, 70, 80, 90]), sample("b", [49, 58, 69, 79, 88])
    shuffled = dataclasses.replace(a, values=tuple(a.values[i] for i in order), seeds=tuple(a.seeds[i] for i in order))
    for paired in (False, True):
        ours, theirs = TESTS["better"](a, b, paired=paired), TESTS["better"](shuffled, b, paired=paired)
        assert (ours.p_support, ours.low) == pytest.approx((theirs.p_support, theirs.low))


@given(st.lists(st.booleans(), min_size=2, max_size=6))
@few
def test_trainable_and_untrainable_count_the_same_seeds(trained):
    a = sample("a", [60 if t else 10 for t in trained])
    yes, no = TESTS["trainable"](a, 10.0), TESTS["untrainable"](a, 10.0)
    assert (yes.effect, yes.low, yes.high) == (no.effect, no.low, no.high)
    assert yes.effect == sum(trained) / len(trained)
    assert {yes.rule, no.rule} in ({"supported", "contradicted"}, {"inconclusive"})


def test_correlation_turns_over_with_the_sign():
    x, y = points(TEN), points([v + w for v, w in zip(TEN, UNRELATED, strict=True)])
    plus = TESTS["correlated"](x, y, "positive", 0.2)
    minus = TESTS["correlated"](x, points([-v for v in y.values]), "negative", 0.2)
    assert minus.effect == pytest.approx(-plus.effect)
    assert (minus.p_support, minus.p_contradict) == pytest.approx((plus.p_support, plus.p_contradict))


def test_numbers_of_an_outcome():
    found = TESTS["trainable"](sample("a", [60, 60, 10, 60]), 10.0)
    assert (found.effect, found.n, found.margin, found.unit) == (0.75, 4, 10.0, "fraction")
    assert found.detectable == pytest.approx(1 - 0.05**0.25)
    assert TESTS["growth"](powers(0.5, noise=0), 0.5, 0.1).effect == pytest.approx(0.5)
    assert TESTS["constant"](series([[1, 3, 2, 1], [1, 12, 2, 1]]), 2.0).effect == pytest.approx(6.0)
    assert TESTS["equal"](series([[50, 100]], x=(1, 2)), series([[50, 99]], x=(1, 2)), 0.1).effect == pytest.approx(0.01)
    assert TESTS["monotone"]([around(80), around(82), around(84)]).effect == pytest.approx(27 / math.sqrt(27 * 36))
    assert TESTS["better"](around(91), sample("b", [90, 90, 90, 90, 91])).n == 3


MISTAKES = [
    (lambda: sample("a", [90, math.nan]), "sample 'a'", "seed 1", "nan", "chance"),
    (lambda: sample("a", [math.inf]), "sample 'a'", "seed 0", "inf"),
    (lambda: sample("a", []), "sample 'a'", "no seeds"),
    (lambda: Sample("a", (1.0, 2.0), (0, 0), (False, False), "%", "higher"), "sample 'a'", "seed 0", "twice"),
    (lambda: Sample("a", (1.0, 2.0), (0,), (False,), "%", "higher"), "sample 'a'", "2 values", "1 seed", "1 diverged"),
    (lambda: sample("a", [1], direction="high"), "'high'", "direction", "'higher'"),
    (lambda: series([[1, 2, math.nan, 3]]), "series 'variance'", "seed 0", "nan", "at 4"),
    (lambda: series([[1, 2, 3]]), "series 'variance'", "seed 0", "3 values", "4 places"),
    (lambda: series([[1, 2]], x=(1, 1)), "series 'variance'", "two places", "once"),
    (lambda: TESTS["better"](around(9), around(9, unit="nats")), "unit", "'%'", "'nats'"),
    (lambda: TESTS["better"](around(9), around(9, direction="lower")), "direction", "'higher'", "'lower'"),
    (lambda: TESTS["better"](around(9), around(9, metric="test_loss")), "metric", "''", "'test_loss'"),
    (lambda: TESTS["better"](around(9, direction="none"), around(9, direction="none")), "better", "none"),
    (lambda: TESTS["better"](around(9), sample("b", [1, 2]), paired=True), "pairs", "same seeds"),
    (lambda: TESTS["trainable"](around(9, chance=None), 10.0), "chance"),
    (lambda: TESTS["growth"](series([[1, 2]], x=(0, 1)), 1.0, 0.1), "growth", "above 0"),
    (lambda: TESTS["growth"](series([[1, 2]], x=(1, 2)), form="exponential"), "three"),
    (lambda: TESTS["monotone"]([around(9), around(9, unit="AP")]), "unit", "'%'", "'AP'"),
    (lambda: TESTS["equal"](powers(1), series([[1, 2, 3, 4]] * 3, x=(1, 2, 3, 4)), 1e-3), "places"),
    (lambda: all_of([]), "at least one test"),
]


@pytest.mark.parametrize("call, facts", [(call, facts) for call, *facts in MISTAKES], ids=range(len(MISTAKES)))
def test_mistakes_are_one_sentence(call, facts):
    with mistake(*facts):
        call()
