"""Claims that two series are equal or two metrics correlated: planted values, what is left out, and operands that do not fit."""

import pandas as pd
import polars as pl
import pytest
from facts import mistake, replaced
from planted import LOST, a_claim, a_paper, measured

from normbench.analysis.ledger import paper_rows
from normbench.analysis.results import Measured
from normbench.claims.kinds.equal import known
from normbench.claims.outcomes import Series
from normbench.config.papers import PAPERS, read_paper
from normbench.execution.unfinished import Unfinished

FLAT = {k: [1.0, 1.5, 2.0] for k in range(1, 5)}
EQUAL = {"test": "equal", "a": "a", "b": "b", "quantity": "variance_end", "rtol": 1e-9}
KNOWN = {"test": "equal", "a": "a", "value": 1.0, "quantity": "variance_end", "rtol": 1e-9}
X, Y = "train_loss", "test_top1"
ARMS = [*"abcdefgh"]
FAILED = Unfinished("h", "[]", "imagenet", "cifar10", "cnn10", "batch_norm", 3, 0, "failed", "a planted fault", "logs/some.log")
CORRELATED = {"test": "correlated", "x": X, "y": Y, "sign": "negative", "arms": ARMS}
RISING = {name: [i - 0.2, i + 0.1, i + 0.1] for i, name in enumerate(ARMS, 1)}
NOISE = [0.3, -0.4, 0.2, 0.5, -0.3, -0.2, 0.4, -0.5]
FALLING = {name: [60.0 - 5 * i + e] * 3 for (i, name), e in zip(enumerate(ARMS, 1), NOISE, strict=True)}


def row_of(test: dict, found: Measured, **fields) -> dict:
    (row,) = paper_rows(a_paper(ARMS, [a_claim(test, **fields)]), found)
    return row


def probed(**probes: dict[int, list[float]]) -> Measured:
    return measured({name: [90.0, 91.0, 92.0] for name in probes}, probes=probes)


def changed(by: float, k: int = 3, seed: int = 1) -> dict[int, list[float]]:
    return {i: [v * (1 + by * (i == k and s == seed)) for s, v in enumerate(values)] for i, values in FLAT.items()}


def both(x: dict[str, list], y: dict[str, list], **given) -> Measured:
    """Two metrics of the same runs."""
    one, other = (measured(values, metric=metric, **given) for values, metric in ((x, X), (y, Y)))
    return Measured(one.plan, pl.concat([one.runs, other.runs]), one.curves, one.probes)


@pytest.mark.parametrize("by, verdict", [(0.0, "supported"), (5e-10, "supported"), (5e-9, "contradicted"), (-0.5, "contradicted")])
def test_two_series_are_equal_within_rtol_at_every_place_and_seed(by, verdict):
    for a, b in ((FLAT, changed(by)), (changed(by, k=4, seed=2), FLAT)):
        row = row_of(EQUAL, probed(a=a, b=b))
        assert (row["verdict"], row["n"], row["margin"]) == (verdict, 3, "1e-09"), row["because"]
        assert float(row["effect"]) == pytest.approx(abs(by), rel=1e-4) and "12 values, 3 seeds" in row["because"]


@pytest.mark.parametrize("by, verdict", [(0.0, "supported"), (5e-10, "supported"), (5e-9, "contradicted")])
def test_a_series_equals_a_known_number_or_does_not(by, verdict):
    ones = {k: [1.0, 1.0, 1.0 + by * (k == 2)] for k in range(1, 5)}
    row = row_of(KNOWN, probed(a=ones))
    assert row["verdict"] == verdict and row["because"].startswith("a and 1 differ by at most"), row["because"]
    assert row_of({**KNOWN, "value": 1.1}, probed(a=ones))["verdict"] == "contradicted"


def test_zero_is_a_known_number_too():
    zeros = {k: [0.0] * 3 for k in range(1, 5)}
    assert row_of({**KNOWN, "value": 0}, probed(a=zeros))["verdict"] == "supported"
    assert row_of({**KNOWN, "value": 0}, probed(a={**zeros, 2: [0.0, 1e-12, 0.0]}))["verdict"] == "contradicted"  # of nothing, all is 100%


def test_a_known_series_has_the_places_and_seeds_of_the_other():
    series = Series("a", (1.0, 2.0, 5.0), ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), (7, 9), "nats")
    assert known(series, 0.25) == Series("0.25", (1.0, 2.0, 5.0), ((0.25,) * 3,) * 2, (7, 9), "nats")


def test_what_has_no_such_series_is_not_run():
    row = row_of(EQUAL, measured({"a": [90.0] * 3, "b": [90.0] * 3}, probes={"a": FLAT}))
    assert (row["verdict"], row["because"]) == ("not run", "b has no variance end: nothing there can be measured.")


def test_a_planted_correlation_over_arms_is_supported_and_the_other_sign_contradicted():
    row = row_of(CORRELATED, both(RISING, FALLING))
    assert (row["verdict"], row["n"]) == ("supported", 8), row["because"]
    assert float(row["effect"]) < -0.99 and "train loss and test top1 over 8 points" in row["because"]
    upward = {name: [100 - v for v in values] for name, values in FALLING.items()}
    assert row_of(CORRELATED, both(RISING, upward))["verdict"] == "contradicted"
    assert row_of({**CORRELATED, "sign": "positive"}, both(RISING, FALLING))["verdict"] == "contradicted"
    assert row_of({**CORRELATED, "sign": "positive"}, both(RISING, upward))["verdict"] == "supported"


def test_unrelated_metrics_leave_a_correlation_open():
    scattered = dict(zip(ARMS, [[v] * 3 for v in (50.0, 20.0, 40.0, 10.0, 60.0, 30.0, 20.0, 45.0)], strict=True))
    assert row_of(CORRELATED, both(RISING, scattered))["verdict"] == "inconclusive"


def test_an_arm_counts_by_its_mean_over_seeds():
    spread = {name: [v - 8 * e, v, v + 8 * e] for (name, (v, *_)), e in zip(FALLING.items(), NOISE, strict=True)}
    row, other = (row_of(CORRELATED, both(RISING, y)) for y in (FALLING, spread))
    assert row["effect"] == other["effect"] and other["n"] == 8
    means = ([sum(v) / 3 for v in values.values()] for values in (RISING, FALLING))
    assert float(row["effect"]) == pytest.approx(pd.Series(next(means)).corr(pd.Series(next(means))), rel=1e-5)


def test_an_arm_whose_method_refuses_is_left_out_and_n_says_so():
    row = row_of(CORRELATED, both(RISING, FALLING, statuses={"h": "refused"}))
    assert (row["verdict"], row["n"]) == ("supported", 7) and "over 7 points" in row["because"]
    lost = both({**RISING, "g": [LOST] * 3}, {**FALLING, "g": [LOST] * 3}, statuses={"h": "refused"})
    assert row_of(CORRELATED, lost)["n"] == 6  # a diverged arm has no training loss
    gone = both(RISING, FALLING, statuses=dict.fromkeys(ARMS, "refused"))
    row = row_of(CORRELATED, gone)
    assert (row["verdict"], row["because"]) == ("not run", "the method batch_norm refuses to stand in this model.")


def test_an_arm_that_failed_is_not_left_out_for_the_verdict_would_be_of_fewer():
    found = both(RISING, FALLING)
    without = Measured(found.plan, found.runs.filter(pl.col("arm") != "h"), found.curves, found.probes, {"h": FAILED})
    row = row_of(CORRELATED, without)
    assert row["verdict"] == "not run" and row["because"].startswith("failed: a planted fault (logs/some.log)")


def test_a_correlation_of_at_least_some_size_needs_that_size():
    weaker = {name: [v + 8 * e for v in FALLING[name]] for name, e in zip(ARMS, [2, -2, 1, -1, -2, 2, 1, -1], strict=True)}
    assert row_of(CORRELATED, both(RISING, weaker))["effect"] != row_of(CORRELATED, both(RISING, FALLING))["effect"]
    assert row_of({**CORRELATED, "at_least": 0.8}, both(RISING, FALLING))["verdict"] == "supported"
    assert row_of({**CORRELATED, "at_least": 0.8}, both(RISING, weaker))["verdict"] != "supported"


def test_fewer_than_four_arms_stay_open():
    row = row_of({**CORRELATED, "arms": ["a", "b", "c"]}, both(RISING, FALLING))
    assert (row["verdict"], row["n"]) == ("inconclusive", 3)


# what a paper's file says, what it is broken into, what is said of it
EQUAL_LINE = "{test: equal, a: scale_one, b: scale_thousand, quantity: output, rtol: 1.0e-9}"
CORRELATED_LINE = "{test: correlated, x: penultimate_cosine_similarity, y: mean_train_top1, sign: negative, arms: []}"
ONE_OF_BOTH = ("equal", "'b'", "'value'", "one of")
BROKEN = {
    "neither b nor value": (EQUAL_LINE.replace(" b: scale_thousand,", ""), *ONE_OF_BOTH),
    "b and value": (EQUAL_LINE.replace("b:", "value: 1, b:"), *ONE_OF_BOTH),
    "no quantity": (EQUAL_LINE.replace(" quantity: output,", ""), "tests.0.quantity"),
    "no rtol": (EQUAL_LINE.replace(", rtol: 1.0e-9", ""), "tests.0.rtol"),
    "no arms": (CORRELATED_LINE, "tests.0.arms", "at least 1"),
    "no sign": (CORRELATED_LINE.replace("sign: negative, arms: []", "arms: [scale_one]"), "tests.0.sign"),
    "no y": (CORRELATED_LINE.replace(" y: mean_train_top1,", ""), "tests.0.y'"),
    "an arm of several": (CORRELATED_LINE.replace("[]", "[scale_one, scale_onee]"), "'scale_onee'", "'scale_one'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_operands_that_do_not_fit_are_one_sentence(what, tmp_path):
    bad, *facts = BROKEN[what]
    text = (PAPERS / "norm_matters.yaml").read_text(encoding="utf-8")
    (tmp_path / "norm_matters.yaml").write_text(replaced(text, EQUAL_LINE, bad), encoding="utf-8")
    with mistake("norm_matters.yaml: ", "claims", *facts):
        read_paper("norm_matters", tmp_path)
