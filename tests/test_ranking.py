"""Methods over tasks: only where both did the same, the order of means, and intervals that other seeds would fill."""

from dataclasses import replace

import numpy as np
import pytest
from planted import LOST, measured

from normbench.analysis.ranking import DRAWS, Contest, contests, standings

MODEL = {"family": "plain_cnn", "depth": 10}


def of_methods(values: dict[str, list], recipes: dict[str, dict] | None = None):
    """What a tier has measured of these methods in one network."""
    found = measured(values, recipes=recipes)
    found.plan.arms = {arm: replace(spec, method=arm, model=MODEL) for arm, spec in found.plan.arms.items()}
    return found


def test_a_contest_is_where_all_settings_are_alike():
    values = {"batch_norm": [90.0, 91.0], "layer_norm": [80.0, 81.0], "rezero": [LOST, 70.0], "skipinit": [99.0, 99.0]}
    (one,) = contests(of_methods(values, {"skipinit": {"lr": 0.5}}))
    assert one.values == {"batch_norm": (90.0, 91.0), "layer_norm": (80.0, 81.0), "rezero": (10.0, 70.0)}  # guessing reaches 10
    assert contests(of_methods({key: values[key] for key in ("batch_norm", "layer_norm")})) == []


def test_the_best_mean_beats_all_and_tasks_weigh_alike():
    clear = {"a": (90.0, 90.1), "b": (80.0, 80.1), "c": (10.0, 10.1)}
    found = standings([Contest("x", "d", "m", clear)] * 3 + [Contest("y", "d", "m", {"b": (9.0, 9.0), "c": (8.0, 8.0), "d": (1.0, 1.0)})])
    scores = {one.method: one.score for one in found}
    assert [one.method for one in found] == ["a", "b", "c", "d"]
    assert scores == pytest.approx({"a": 1.0, "b": 0.75, "c": 0.25, "d": 0.0}, abs=0.02)
    assert {one.method: one.tasks for one in found}["b"]["x"][1] == 3


def test_ties_share_and_one_seed_is_taken_as_it_is():
    found = {one.method: one for one in standings([Contest("x", "d", "m", {"a": (5.0,), "b": (5.0,), "c": (1.0,)})])}
    assert (found["a"].score, found["b"].score, found["c"].score) == (0.75, 0.75, 0.0)
    assert (found["a"].low, found["a"].high, found["a"].rank) == (0.75, 0.75, 1.5)


def test_intervals_cover_what_other_seeds_give():
    """Of many repetitions of three methods a standard error apart, the share whose interval holds the expected share of b."""
    rng, inside, rounds = np.random.default_rng(1), 0, 60
    for _ in range(rounds):
        values = {name: tuple(rng.normal(mean, 1.0, 5)) for name, mean in (("a", 1.0), ("b", 0.0), ("c", -1.0))}
        one = next(s for s in standings([Contest("x", "d", "m", values)]) if s.method == "b")
        assert one.low <= one.score <= one.high
        inside += one.low <= 0.5 <= one.high
    assert inside >= 0.9 * rounds and DRAWS >= 500


def test_nothing_to_compare_is_no_standing():
    assert standings([]) == []
