"""Each test of the closed list supports what is true, contradicts what is false, leaves open what the seeds cannot tell."""

import pytest
from verdict_samples import SPREAD, TEN, TESTS, UNRELATED, WOBBLE, around, exponentials, points, powers, sample, series, verdict

from normbench.claims.kinds import KINDS
from normbench.claims.verdicts import decide


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """statsmodels collects garbage in each Holm adjustment: 0.1 s that thousands of draws would pay."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


def test_every_kind_of_test_is_tried_here():
    assert {kind.model_fields["test"].default for kind in KINDS} == set(TESTS) == {name for name, *_ in TRUTH}


TRUTH = [
    ("better", "supported", lambda t: t(around(91), around(88))),
    ("better", "contradicted", lambda t: t(around(88), around(91))),
    ("better", "inconclusive", lambda t: t(around(88.1), around(88))),
    ("better", "contradicted", lambda t: t(around(88), around(91, scale=0), by=0)),
    ("better", "supported", lambda t: t(around(91), around(88), by=1)),
    ("better", "contradicted", lambda t: t(around(91), around(88), by=6)),
    ("better", "inconclusive", lambda t: t(around(91), around(88), by=3)),
    ("better", "supported", lambda t: t(around(8, direction="lower"), around(11, direction="lower"))),
    ("better", "contradicted", lambda t: t(around(11, direction="lower"), around(8, direction="lower"))),
    ("better", "inconclusive", lambda t: t(around(50, scale=40), around(49.8, scale=40.1))),
    ("better", "supported", lambda t: t(around(50, scale=40), around(49.8, scale=40.1), paired=True)),
    ("better", "supported", lambda t: t(around(8, scale=1.1, direction="lower"), around(11, direction="lower"), paired=True)),
    ("not_worse", "supported", lambda t: t(around(88), around(88), 1.0)),
    ("not_worse", "supported", lambda t: t(around(95), around(88), 1.0)),
    ("not_worse", "contradicted", lambda t: t(around(85), around(88), 1.0)),
    ("not_worse", "inconclusive", lambda t: t(around(87), around(88), 1.0)),
    ("not_worse", "contradicted", lambda t: t(around(15, direction="lower"), around(12, direction="lower"), 1.0)),
    ("within", "supported", lambda t: t(around(88), around(88.1), 1.5)),
    ("within", "contradicted", lambda t: t(around(92), around(88), 1.0)),
    ("within", "contradicted", lambda t: t(around(84), around(88), 1.0)),
    ("within", "inconclusive", lambda t: t(around(89), around(88), 1.0)),
    ("trainable", "supported", lambda t: t(around(60), 10.0)),
    ("trainable", "contradicted", lambda t: t(around(12), 10.0)),
    ("trainable", "contradicted", lambda t: t(sample("a", [10, 10], diverged=(0, 1)), 10.0)),
    ("trainable", "inconclusive", lambda t: t(sample("a", [60, 10], diverged=(1,)), 10.0)),
    ("trainable", "supported", lambda t: t(sample("a", [20, 20]), 10.0)),
    ("trainable", "contradicted", lambda t: t(sample("a", [60, 60], diverged=(0, 1)), 10.0)),
    ("trainable", "supported", lambda t: t(around(40, direction="lower", chance=90.0), 10.0)),
    ("trainable", "contradicted", lambda t: t(around(99, direction="lower", chance=90.0), 5.0)),
    ("untrainable", "supported", lambda t: t(around(12), 10.0)),
    ("untrainable", "supported", lambda t: t(sample("a", [10, 10], diverged=(0, 1)), 10.0)),
    ("untrainable", "contradicted", lambda t: t(around(60), 10.0)),
    ("untrainable", "supported", lambda t: t(around(12), 10.0, around(60))),
    ("untrainable", "inconclusive", lambda t: t(around(12), 10.0, around(13))),  # the control does not train either
    ("untrainable", "inconclusive", lambda t: t(sample("a", [60, 10, 10]), 10.0)),
    ("constant", "supported", lambda t: t(series([[1, 1.1, 0.9, 1], [1, 1.2, 1, 1], [1, 1, 1.15, 1]]), 2.0)),
    ("constant", "contradicted", lambda t: t(series([[1, 2, 4, 8], [1, 2, 4, 9], [1, 2, 4, 8.5]]), 2.0)),
    ("constant", "inconclusive", lambda t: t(series([[1, 1, 1, 1.6], [1, 1, 1, 2.4], [1, 1, 1, 2.1]]), 2.0)),
    ("constant", "supported", lambda t: t(series([[1, 1.5, 1, 1]] * 2), 2.0)),
    ("constant", "contradicted", lambda t: t(series([[1, 2.5, 1, 1]] * 2), 2.0)),
    ("constant", "inconclusive", lambda t: t(series([[0, 1, 1, 1]] * 2), 2.0)),
    ("growth", "supported", lambda t: t(powers(0.5), 0.5, 0.05)),
    ("growth", "contradicted", lambda t: t(powers(1.0), 0.5, 0.05)),
    ("growth", "contradicted", lambda t: t(powers(-0.5), 0.5, 0.05)),
    ("growth", "inconclusive", lambda t: t(powers(0.55), 0.5, 0.05)),
    ("growth", "supported", lambda t: t(powers(0.5, noise=0), 0.5, 0.05)),
    ("growth", "contradicted", lambda t: t(powers(0.7, noise=0), 0.5, 0.05)),
    ("growth", "inconclusive", lambda t: t(series([[1, 0, 2, 3]] * 2), 0.5, 0.05)),
    ("growth", "supported", lambda t: t(exponentials(0.7), form="exponential")),
    ("growth", "contradicted", lambda t: t(powers(2.0), form="exponential")),
    ("growth", "contradicted", lambda t: t(exponentials(-0.7), form="exponential")),
    ("growth", "inconclusive", lambda t: t(series([[1, 1.1, 0.9, 1], [1, 0.9, 1.1, 1], [1.1, 1, 1, 1.1]]), form="exponential")),
    ("monotone", "supported", lambda t: t([around(80), around(82), around(84)])),
    ("monotone", "contradicted", lambda t: t([around(84), around(82), around(80)])),
    ("monotone", "contradicted", lambda t: t([around(80), around(90), around(84)])),
    ("monotone", "inconclusive", lambda t: t([around(80), around(80.1), around(80)])),
    ("monotone", "supported", lambda t: t([around(84), around(82), around(80)], "falling")),
    ("monotone", "supported", lambda t: t([around(m, direction="lower") for m in (9, 7, 5)])),
    ("monotone", "supported", lambda t: t([around(m) for m in (80, 82, 81.4, 84, 86)], margin=2.0)),
    ("monotone", "contradicted", lambda t: t([around(m) for m in (80, 82, 78, 84, 86)], margin=0.5)),
    # The trend is beyond doubt, and one step of it is reversed beyond doubt as well.
    ("monotone", "contradicted", lambda t: t([around(m) for m in (80, 82, 84.4, 83, 85, 87)])),
    ("monotone", "supported", lambda t: t(series([[1, 2, 3, 4 + s] for s in SPREAD]))),
    ("monotone", "supported", lambda t: t(series([[4, 3, 2, 1 + s] for s in SPREAD]), "falling")),
    ("monotone", "contradicted", lambda t: t(series([[4, 3, 2, 1 + s] for s in SPREAD]))),
    ("monotone", "contradicted", lambda t: t(series([[1, 2, 3, s - 2] for s in SPREAD]), margin=1.0)),
    ("monotone", "inconclusive", lambda t: t(series([[1, 2, 1, 2], [2, 1, 2, 1], [1, 1, 2, 1]]))),
    ("monotone", "inconclusive", lambda t: t([sample("a", [80, 80]), sample("b", [80, 80])])),
    ("correlated", "supported", lambda t: t(points(TEN), points([v + w for v, w in zip(TEN, WOBBLE, strict=True)]))),
    ("correlated", "contradicted", lambda t: t(points(TEN), points([w - v for v, w in zip(TEN, WOBBLE, strict=True)]))),
    ("correlated", "supported", lambda t: t(points(TEN), points([w - v for v, w in zip(TEN, WOBBLE, strict=True)]), "negative", 0.5)),
    ("correlated", "inconclusive", lambda t: t(points(TEN), points(UNRELATED))),
    ("correlated", "contradicted", lambda t: t(points(TEN), points(UNRELATED), "positive", 0.9)),
    ("correlated", "inconclusive", lambda t: t(points(TEN), points([1] * 12))),
    ("correlated", "inconclusive", lambda t: t(points([1, 2, 3]), points([1, 2, 3]))),
    ("correlated", "inconclusive", lambda t: t(points([1, 2, 3, 4]), points([1, 2, 3, 4]))),
    ("equal", "supported", lambda t: t(powers(0.5), powers(0.5 + 1e-9), 1e-6)),
    ("equal", "contradicted", lambda t: t(powers(0.5), powers(0.501), 1e-6)),
    ("equal", "supported", lambda t: t(series([[0, 1, 2, -3]]), series([[0, 1, 2, -3]]), 1e-12)),
    ("equal", "contradicted", lambda t: t(series([[0, 1, 2, -3]]), series([[0, 1, 2, 3]]), 1e-3)),
    ("equal", "inconclusive", lambda t: t(series([[0, 1, 2, 3]]), series([[0, 1, 2, 3]] * 2), 1e-3)),  # one seed has no partner
    ("reproduces", "supported", lambda t: t(around(91), 91.2, 1.5, "paper")),
    ("reproduces", "contradicted", lambda t: t(around(88), 91.2, 1.5, "paper")),
    ("reproduces", "inconclusive", lambda t: t(around(90), 91.2, 1.3, "paper")),
    ("reproduces", "not run", lambda t: t(around(91), 91.2, 1.5, "laptop")),
    ("figure", "answered", lambda t: t({"a": around(91), "b": around(90)})),
    # All seeds alike on both sides: the difference is exact and no p is needed.
    ("better", "supported", lambda t: t(sample("a", [91, 91]), sample("b", [90, 90]))),
    ("better", "contradicted", lambda t: t(sample("a", [90, 90]), sample("b", [91, 91]))),
    ("better", "inconclusive", lambda t: t(sample("a", [90, 90]), sample("b", [90, 90]))),
    ("better", "supported", lambda t: t(sample("a", [91, 91]), sample("b", [10, 10], diverged=(0, 1)))),
    ("not_worse", "supported", lambda t: t(sample("a", [90, 90]), sample("b", [91, 91]), 1.0)),
    ("not_worse", "supported", lambda t: t(sample("a", [90, 90]), sample("b", [90, 90]), 0.0)),
    ("not_worse", "contradicted", lambda t: t(sample("a", [89, 89]), sample("b", [91, 91]), 1.0)),
    ("within", "supported", lambda t: t(sample("a", [100, 100]), sample("b", [100, 100]), 1.0)),
    ("within", "contradicted", lambda t: t(sample("a", [100, 100]), sample("b", [98, 98]), 1.0)),
    ("reproduces", "supported", lambda t: t(sample("a", [91, 91]), 91.5, 1.0, "paper")),
]


@pytest.mark.parametrize(("name", "wanted", "case"), TRUTH, ids=[f"{name}-{wanted}-{k}" for k, (name, wanted, _) in enumerate(TRUTH)])
def test_truth(name, wanted, case):
    assert verdict(case(TESTS[name])) == wanted


@pytest.mark.parametrize("name", ["better", "not_worse", "within"])
def test_where_both_sides_diverged_nothing_is_compared(name):
    a, b = (sample(label, [10, 10, 10], diverged=(0, 1, 2)) for label in "ab")
    found = decide({"c": TESTS[name](a, b, 1.0)})["c"]
    assert found.verdict == "inconclusive"
    assert "a and b both diverged in every seed" in found.because


ONE = sample("a", [91]), sample("b", [10])
ALONE = {
    "better": lambda t: t(*ONE),
    "not_worse": lambda t: t(*ONE, 1.0),
    "within": lambda t: t(*ONE, 1.0),
    "better against three": lambda t: t(ONE[0], around(10)),
    "trainable": lambda t: t(ONE[0], 10.0),
    "untrainable": lambda t: t(ONE[1], 10.0),
    "constant": lambda t: t(series([[1, 1, 1, 1]]), 2.0),
    "growth": lambda t: t(series([[1, 2, 4, 8]]), 1.0, 0.1),
    "growth exponential": lambda t: t(series([[2.7, 7.4, 55, 2981]]), form="exponential"),
    "monotone": lambda t: t([sample("a", [k]) for k in range(8)]),
    "monotone series": lambda t: t(series([[1, 2, 3, 4]])),
    "reproduces": lambda t: t(ONE[0], 91.0, 1.0, "paper"),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_seed_decides_nothing(name):
    found = decide({"c": ALONE[name](TESTS[name.split()[0]])})["c"]
    assert found.verdict == "inconclusive"
    assert "one seed has no interval" in found.because
    assert found.n == 1


HELD = [
    ("better", lambda t, d: t(around(91 + d), around(88))),
    ("not_worse", lambda t, d: t(around(88 + d), around(88), 1.0)),
    ("within", lambda t, d: t(around(88 + d), around(88), 1.0)),
    ("trainable", lambda t, d: t(around(60 + 10 * d), 10.0)),
    ("untrainable", lambda t, d: t(around(10 - 10 * d), 10.0)),
    ("constant", lambda t, d: t(series([[1, 1.1 - d + s / 10, 1, 1] for s in SPREAD]), 2.0)),
    ("growth", lambda t, d: t(powers(0.5 + d), 0.5, 0.05)),
    ("monotone", lambda t, d: t([around(80), around(82 + 2 * d), around(84 + 4 * d)])),
    ("correlated", lambda t, d: t(points(TEN), points([v * (1 + d) + w for v, w in zip(TEN, WOBBLE, strict=True)]))),
    ("equal", lambda t, d: t(powers(0.5 + d), powers(0.5), 1e-6)),
    ("reproduces", lambda t, d: t(around(91 + d), 91.0, 1.0, "paper")),
]


@pytest.mark.parametrize(("name", "case"), HELD, ids=[name for name, _ in HELD])
def test_a_planted_wrong_result_flips_the_verdict(name, case):
    assert verdict(case(TESTS[name], 0.0)) == "supported"
    assert verdict(case(TESTS[name], -5.0)) == "contradicted"
