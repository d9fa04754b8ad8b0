"""Recipes: the rate of every step against the schedule's closed formula, budgets in steps, and mistakes by their sentence."""

import math

import pytest
from facts import mistake, names
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from normbench.config.recipe import Recipe
from normbench.core.schema import validated

TOTALS = st.integers(1, 400)
RATES = st.floats(1e-4, 10)


def recipe(**fields) -> Recipe:
    return Recipe(**{"steps": 100, "batch_size": 4, "lr": 0.1, **fields})


def rates(total: int, **fields) -> list[float]:
    made = recipe(**fields)
    return [made.lr_at(step, total) for step in range(total)]


@given(total=TOTALS, lr=RATES)
def test_constant(total, lr):
    assert rates(total, lr=lr) == [lr] * total


@given(total=TOTALS, lr=RATES, milestones=st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True), gamma=st.floats(0.05, 2))
def test_step_multiplies_by_gamma_at_each_milestone(total, lr, milestones, gamma):
    shares = tuple(m / 100 for m in sorted(milestones))
    expected = [lr * gamma ** len([m for m in milestones if 100 * step >= m * total]) for step in range(total)]
    assert rates(total, lr=lr, schedule="step", milestones=shares, gamma=gamma) == pytest.approx(expected, rel=1e-12)


@given(total=TOTALS, lr=RATES)
def test_cosine_falls_from_the_peak_towards_zero(total, lr):
    found = rates(total, lr=lr, schedule="cosine")
    # cos^2 of half the angle: the same curve in another form
    assert found == pytest.approx([lr * math.cos(math.pi * step / (2 * total)) ** 2 for step in range(total)], rel=1e-9, abs=1e-12)
    assert found[0] == lr


@given(periods=st.integers(1, 12), length=st.integers(1, 20), lr=RATES)
def test_halving_keeps_the_rate_until_the_milestone_and_then_halves_at_equal_distances(periods, length, lr):
    first = periods * length
    found = rates(2 * first, lr=lr, schedule="halving", milestones=(0.5,), halvings=periods)
    assert found[:first] == [lr] * first
    for i, rate in enumerate(found[first:]):
        # The first halving is at the milestone; where a later one falls on a step, rounding may put it on the next.
        halved = [1 + i // length, i // length] if i % length == 0 and i else [1 + i // length]
        assert rate in [lr * 0.5 ** min(h, periods) for h in halved]


@given(total=TOTALS, lr=RATES, growth=st.floats(0.9, 1.1))
def test_exponential_multiplies_every_step(total, lr, growth):
    expected, rate = [], lr
    for _ in range(total):
        expected.append(rate)
        rate *= growth
    assert rates(total, lr=lr, schedule="exponential", growth=growth) == pytest.approx(expected, rel=1e-9)


@given(warm=st.integers(1, 40), rest=st.integers(1, 200), lr=RATES)
def test_warm_up_is_linear_and_the_schedule_counts_what_follows_it(warm, rest, lr):
    total = warm + rest
    found = rates(total, lr=lr, schedule="cosine", warmup=warm / total)
    assert found[:warm] == pytest.approx([lr * (step + 1) / warm for step in range(warm)], rel=1e-12)
    assert found[warm:] == pytest.approx(rates(rest, lr=lr, schedule="cosine"), rel=1e-12)


@pytest.mark.parametrize(
    "budget, epoch_steps, steps",
    [
        ({"steps": 7}, 18, 7),
        ({"epochs": 1}, 18, 18),
        ({"epochs": 2.5}, 18, 45),
        ({"epochs": 0.3}, 18, 6),  # a step begun is a step
        ({"epochs": 0.01}, 18, 1),
        ({"epochs": 90}, 5004, 90 * 5004),
    ],
)
def test_total_steps(budget, epoch_steps, steps):
    assert Recipe(batch_size=64, lr=0.1, **budget).total_steps(epoch_steps) == steps


MISTAKES = {
    "no budget": ({"steps": None}, "epochs", "steps", "one of"),
    "two budgets": ({"epochs": 2}, "epochs", "steps", "one of"),
    "no milestones": ({"schedule": "halving"}, "schedule", "'halving'", "milestones"),
    "milestones in steps": ({"schedule": "step", "milestones": [30, 60]}, "milestones", "ascending", "0", "1"),
    "milestones descending": ({"schedule": "step", "milestones": [0.6, 0.3]}, "milestones", "ascending", "0", "1"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_contradiction_is_said_in_one_sentence(what):
    fields, *facts = MISTAKES[what]
    with pytest.raises(ValidationError) as error:
        recipe(**fields)
    names(error.value.errors()[0]["msg"], *facts)


@pytest.mark.parametrize(
    "fields, facts",
    [
        ({"momentm": 0.9}, ["'momentm'", "'momentum'"]),
        ({"lr": 0}, ["lr", "greater than 0", "got 0"]),
        ({"momentum": 1}, ["momentum", "less than 1", "got 1"]),
        ({"precision": "float8"}, ["precision", "'float8'", "'float32'", "'amp_float16'", "'amp_bfloat16'", "'emulated_float16'"]),
        ({"batch_size": 2.5}, ["batch_size", "integer", "2.5"]),
    ],
)
def test_a_wrong_field_is_said_with_its_place_and_what_would_do(fields, facts):
    with mistake("here: ", *facts):
        validated(Recipe, {"steps": 1, "batch_size": 4, "lr": 0.1, **fields}, "here")
