"""The rules between an estimate and an outcome: where an exact value lies, what the numbers are rounded to, what decides a whole."""

import math

import pytest

from normbench.claims.decision import Region, all_of, judged
from normbench.claims.outcomes import Outcome, Readings
from normbench.claims.stats import Estimate

OPEN = (-math.inf, math.inf)
AT_LEAST, BETWEEN = (1.0, math.inf), (-1.0, 1.0)


@pytest.mark.parametrize(
    "bounds, value, closed, strict",
    [
        (AT_LEAST, 1.5, "supported", "supported"),
        (AT_LEAST, 0.5, "contradicted", "contradicted"),
        (AT_LEAST, 1.0, "supported", "inconclusive"),
        (AT_LEAST, 0.7 + 0.2 + 0.1, "supported", "inconclusive"),  # a rounding error below 1
        (AT_LEAST, 1 - 1e-6, "contradicted", "contradicted"),
        (AT_LEAST, 1 + 1e-6, "supported", "supported"),
        (BETWEEN, 0.0, "supported", "supported"),
        (BETWEEN, -1.0, "supported", "inconclusive"),  # on one of two bounds is on the bound
        (BETWEEN, 1.0, "supported", "inconclusive"),
        (BETWEEN, 1.5, "contradicted", "contradicted"),
        (BETWEEN, -1.5, "contradicted", "contradicted"),
        ((0.0, math.inf), 1e-13, "supported", "inconclusive"),  # near zero nothing is relative
        (OPEN, 5.0, "supported", "supported"),
    ],
)
def test_where_an_exact_value_lies(bounds, value, closed, strict):
    assert Region(*bounds).exact(value) == closed
    assert Region(*bounds, strict=True).exact(value) == strict


@pytest.mark.parametrize("se, digits", [(0.01, 3), (0.014, 3), (0.002, 3), (0.02, 2), (0.09, 2), (0.4, 1)])
def test_numbers_are_rounded_to_what_half_the_interval_can_tell(se, digits):
    """Half of a 95% interval is 1.96 standard errors; it is worth one digit, and two where it begins with 1 or 2."""
    told = []
    words = {"says": lambda *given: told.append(given) or "", "unit": "ratio"}
    judged(Estimate(0.5, se, 1e9), Region(low=0.0), Readings("", "", ""), n=3, margin=0.0, detectable=0.1, **words)
    low, high = 0.5 - 1.959964 * se, 0.5 + 1.959964 * se
    assert told == [(digits, f"95% {low:.{digits}f} to {high:.{digits}f}")]


def part(name: str, **fields) -> Outcome:
    return Outcome(n=3, effect=float(len(name)), says=name, **fields)


def test_the_weakest_part_gives_the_whole_its_numbers():
    sure, unsure = part("sure", p_support=0.001, p_contradict=0.999), part("doubtful", p_support=0.2, p_contradict=0.8)
    whole = all_of([sure, unsure])
    assert (whole.effect, whole.p_support, whole.p_contradict) == (8.0, 0.2, 1.0)
    assert all_of([unsure, sure]).effect == 8.0
    lost = part("contradicted", rule="contradicted")
    assert (all_of([sure, lost, unsure]).effect, all_of([sure, lost, unsure]).rule) == (12.0, "contradicted")
    assert all_of([lost, part("not run here", rule="not run")]).rule == "not run"
    assert all_of([sure]) is sure
