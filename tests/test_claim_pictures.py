"""The picture of a kind of test: where it holds, its effect in margins, its scale, and the lines that a figure of its claim draws."""

import math
import re

import pytest
from claim_examples import EXAMPLES, read

from normbench.claims.kinds import Better, Equal, Figure, Growth, Monotone, Trainable, Within
from normbench.claims.outcomes import Outcome
from normbench.reporting.page.interval_picture import interval_picture

# kind, its fields, an effect, its margin, the effect in margins, where it holds in margins
SCALED = [
    ("within", {}, 1.0, 2.0, 0.5, (-1, 1)),
    ("not_worse", {}, -3.0, 2.0, -1.5, (-1, math.inf)),
    ("better", {"by": 4}, 2.0, 4.0, 0.5, (1, math.inf)),
    ("constant", {}, 8.0, 4.0, 1.5, (-math.inf, 1)),
    ("growth", {}, 0.55, 0.1, 0.5, (-1, 1)),
    ("equal", {}, 5e-10, 1e-9, 0.5, (-math.inf, 1)),
    ("reproduces", {}, 0.5, 1.0, 0.5, (-1, 1)),
]


def outcome(effect: float | None, margin: float) -> Outcome:
    return Outcome(effect=effect, low=effect, high=effect, margin=margin, n=3, rule="supported", says="")


@pytest.mark.parametrize(("name", "fields", "effect", "margin", "expected", "holds"), SCALED)
def test_effects_are_scaled_so_that_the_margin_is_one(name, fields, effect, margin, expected, holds):
    scaled = read(test=name, **EXAMPLES[name][0], **fields).in_margins(outcome(effect, margin))
    assert scaled.effect == pytest.approx(expected) and scaled.low == pytest.approx(expected)
    assert scaled.holds == holds


EXPONENTIAL = Growth(arm="x", quantity="q", form="exponential")


@pytest.mark.parametrize(
    ("test", "effect", "margin"),
    [
        (Better(a="x", b="y"), 1.0, 0.0),
        (Trainable(arm="x", margin=10), 1.0, 10.0),
        (EXPONENTIAL, 1.0, 0.1),
        (Within(a="x", b="y", margin=1), None, 1.0),
    ],
)
def test_effects_without_a_margin_in_their_unit_are_not_scaled(test, effect, margin):
    assert test.in_margins(outcome(effect, margin)) is None


HOLDS = {
    "better": (0.0, math.inf),
    "not_worse": (-2, math.inf),
    "within": (-2, 2),
    "trainable": (1, 1),
    "untrainable": (0, 0),
    "constant": (-math.inf, 4),
    "growth": (0.4, 0.6),
    "monotone": None,
    "correlated": (-1, -0.3),
    "equal": (-math.inf, 1e-9),
    "reproduces": (-1, 1),
    "figure": None,
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_picture_shows_where_a_test_holds(name):
    test, where = read(test=name, **EXAMPLES[name][0]), HOLDS[name]
    assert test.holds() == (where if where is None else pytest.approx(where))
    drawn = interval_picture(test, outcome(0.5, 1.0))
    assert ('class="holds"' in drawn) == (where is not None) == ("the claim holds" in drawn)
    ticks = re.findall(r'class="tick" x="[\d.]+" y="48">([^<]+)<', drawn)
    assert ("0%" in ticks, "0" in ticks) == (test.scale.share, name not in ("trainable", "untrainable", "constant", "growth"))


def test_a_ratio_is_drawn_on_a_logarithmic_scale_where_it_is_large():
    test = read(test="constant", **EXAMPLES["constant"][0])
    between = {}
    for effect in (8.0, 64.0):
        (x,) = re.findall(r'class="effect" cx="([\d.]+)"', interval_picture(test, outcome(effect, 4.0)))
        (margin,) = re.findall(r'class="margin" x1="([\d.]+)"', interval_picture(test, outcome(effect, 4.0)))
        between[effect] = (float(margin) - 12) / (float(x) - 12)
    assert between[8.0] == pytest.approx((4 - 1 + 0.42) / (8 - 1 + 0.42), abs=0.01)  # the scale starts below 1 by 0.06 of its length
    pad = 0.06 * math.log(64)
    assert between[64.0] == pytest.approx((math.log(4) + pad) / (math.log(64) + pad), abs=0.01)


def test_lines_are_what_a_figure_draws_along_something():
    lines = Figure(arms=["x", {"arm": "y", "take": "best_lr"}], along="batch_size").lines("top1")
    assert [(line.operand.arm, line.along, line.quantity, line.name) for line in lines] == [
        ("x", "batch_size", None, "top1"),
        ("y", "batch_size", None, "best_lr"),
    ]
    assert [(line.name, line.along) for line in EXPONENTIAL.lines("top1")] == [("q", "k")]
    for test in (Figure(arms=["x"]), Monotone(arms=["x", "y"], direction="rising"), Equal(a="x", value=1, quantity="q", rtol=0)):
        assert test.lines("top1") == []
