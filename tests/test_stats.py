"""Intervals, p-values and detectable effects keep what they promise: seen by simulation and against slow references."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from statsmodels.stats.power import TTestIndPower

from normbench.claims import stats

DRAWS = 2000
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """statsmodels collects garbage in each Holm adjustment: 0.1 s that thousands of draws would pay."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


def coverage(rng, draw, truth, draws=DRAWS):
    """The share of intervals that hold the truth."""
    return np.mean([low <= truth <= high for low, high in (draw(rng) for _ in range(draws))])


@pytest.mark.slow
def test_welch_interval_covers_the_true_difference():
    def draw(rng):
        return stats.difference(rng.normal(2.0, 1.0, 4), rng.normal(0.0, 3.0, 8)).interval

    assert coverage(np.random.default_rng(0), draw, 2.0) == pytest.approx(0.95, abs=0.015)


def test_student_interval_covers_the_true_mean():
    assert coverage(
        np.random.default_rng(0), lambda rng: stats.mean_of(rng.normal(7.0, 2.0, 4)).interval, 7.0, draws=2000
    ) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("name", "rho", "truth"),
    [("pearson", 0.6, 0.6), ("spearman", 0.6, 6 / math.pi * math.asin(0.3)), ("kendall", 0.6, 2 / math.pi * math.asin(0.6))],
)
def test_correlation_interval_covers_the_true_correlation(name, rho, truth):
    def draw(rng):
        x, noise = rng.normal(size=(2, 16))
        found = getattr(stats, name)(x, rho * x + math.sqrt(1 - rho**2) * noise)
        return found.low, found.high

    assert coverage(np.random.default_rng(0), draw, truth, draws=1200) == pytest.approx(0.95, abs=0.015)


def test_spearmans_interval_is_fishers_made_wider_by_the_root_of_1_06():
    """Six swaps of neighbors among 28 ranks: r = 1 - 6 * 12 / (28 * 783); 1.06 / 25 is the variance of atanh(r)."""
    x = list(range(28))
    y = [i + 1 if i % 2 == 0 else i - 1 for i in range(12)] + x[12:]
    found, r = stats.spearman(x, y), 1 - 6 * 12 / (28 * 783)
    assert found.r == pytest.approx(r, rel=1e-12) and found.se == pytest.approx(math.sqrt(1.06) / 5, rel=1e-12)
    half = 1.959963984540054 * math.sqrt(1.06) / 5
    assert (found.low, found.high) == pytest.approx((math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)), rel=1e-9)


def test_spearmans_standard_error_is_the_spread_of_its_estimates():
    """At 1 / (n - 3), which is Pearson's variance, it would be six percent too small."""
    n, rho = 30, 0.5
    x, noise = np.random.default_rng(9).normal(size=(2, 40_000, n))
    a, b = (values.argsort(1).argsort(1) - (n - 1) / 2 for values in (x, rho * x + math.sqrt(1 - rho**2) * noise))
    spread = np.var(np.arctanh((a * b).sum(1) / (a * a).sum(1)))
    assert stats.spearman(x[0], noise[0]).se ** 2 == pytest.approx(spread, rel=0.03)


def test_kendall_interval_covers_where_several_seeds_share_a_level():
    """Without the ties' part of the variance this is 0.92."""
    levels = np.repeat([0, 1, 2], 3)

    def draw(rng):
        found = stats.kendall(levels, rng.normal(size=9))
        return found.low, found.high

    assert coverage(np.random.default_rng(0), draw, 0.0, draws=1200) == pytest.approx(0.95, abs=0.015)


def concordances(levels, orders):
    """Kendall's S of each row of `orders` with `levels`."""
    i, j = np.triu_indices(len(levels), 1)
    levels = np.asarray(levels)
    return (np.sign(levels[j] - levels[i]) * np.sign(orders[:, j] - orders[:, i])).sum(1)


@pytest.mark.parametrize("levels", [range(7), [0, 0, 0, 1, 1, 2, 3], [0, 0, 0, 0, 1, 1, 2]])
def test_ties_widen_kendalls_variance_by_what_they_add_to_that_of_all_orders(levels):
    """Without ties the variance is 0.437 / (n - 4); tau-b = S / sqrt(all pairs * pairs of different levels)."""
    orders = np.array(list(itertools.permutations(range(7))))
    untied = sum(a != b for a, b in itertools.combinations(levels, 2))
    widened = np.var(concordances(levels, orders) / math.sqrt(21 * untied)) / np.var(concordances(range(7), orders) / 21)
    assert stats.kendall(list(levels), orders[9].tolist()).se ** 2 == pytest.approx(0.437 / 3 * widened, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (3, 5)])
def test_welch_shows_the_detectable_difference_in_four_of_five(n, m):
    rng = np.random.default_rng(1)
    a, b = rng.normal(stats.effect_size_welch(n, m), 1.0, (40_000, n)), rng.normal(0.0, 1.0, (40_000, m))
    assert np.mean(reference.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05) == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize("n", [2, 3, 6])
def test_student_shows_the_detectable_mean_in_four_of_five(n):
    values = np.random.default_rng(2).normal(stats.effect_size(n), 1.0, (40_000, n))
    assert np.mean(reference.ttest_1samp(values, 0.0, axis=1).pvalue < 0.05) == pytest.approx(0.80, abs=0.01)


def test_detectable_differences_meet_the_pooled_formula_where_seeds_are_many():
    assert stats.effect_size_welch(40, 40) == pytest.approx(TTestIndPower().solve_power(nobs1=40, alpha=0.05, power=0.8), rel=0.01)


def test_detectable_effects_scale_with_the_spread():
    a, b = [90.0, 91.0, 92.0], [80.0, 84.0, 88.0]
    pooled = math.sqrt((1.0**2 + 4.0**2) / 2)
    assert stats.detectable_difference(a, b) == pytest.approx(stats.effect_size_welch(3, 3) * pooled)
    assert stats.detectable_mean(b) == pytest.approx(stats.effect_size(3) * 4.0)
    assert stats.detectable_difference([1.0], [2.0, 3.0]) is None
    assert stats.detectable_difference([1.0, 1.0], [2.0, 2.0]) is None
    assert stats.detectable_mean([3.0, 3.0]) is None


def test_a_difference_of_exactly_the_margin_is_put_on_neither_side_too_often():
    """At the margin both "inside" and "outside" are wrong in at most 5%, and not in practically none."""
    rng = np.random.default_rng(3)
    ps = [stats.difference(rng.normal(1.0, 0.4, 6), rng.normal(0.0, 0.4, 6)).p_region(-1.0, 1.0) for _ in range(1200)]
    inside, outside = np.mean(np.array(ps) < 0.05, axis=0)
    assert 0.035 < inside < 0.06
    assert 0.01 < outside < 0.05


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=6), st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.floats(-20, 20))
@few
def test_one_sided_ps_and_interval_are_those_of_scipy(a, b, bound):
    if max(a) - min(a) < 1e-3 or max(b) - min(b) < 1e-3:
        return
    estimate = stats.difference(a, b)
    shifted = [v - bound for v in a]
    wanted = reference.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert estimate.interval == pytest.approx((wanted.low, wanted.high), rel=1e-7, abs=1e-7)
    for side, p in (("greater", estimate.p_above(bound)), ("less", estimate.p_below(bound))):
        assert p == pytest.approx(reference.ttest_ind(shifted, b, equal_var=False, alternative=side).pvalue, rel=1e-5, abs=1e-9)


def test_region_takes_the_weaker_side():
    near, beyond = stats.Estimate(mean=0.5, se=0.2, df=8), stats.Estimate(mean=1.3, se=0.2, df=8)
    inside, outside = near.p_region(-1.0, 1.0)
    assert inside == near.p_below(1.0) > near.p_above(-1.0)
    assert outside == 1.0
    assert beyond.p_region(-1.0, 1.0)[1] == 2 * beyond.p_above(1.0) < 0.2
    assert beyond.p_region(0.0, math.inf) == (beyond.p_above(0.0), beyond.p_below(0.0))


def test_no_spread_is_exact_and_rounding_is_no_spread():
    assert stats.mean_of([0.1 + 0.2, 0.3, 0.3]).exact
    assert stats.difference([1.0, 1.0], [0.5, 0.5]).interval == (0.5, 0.5)
    assert not stats.difference([1.0, 1.0], [0.5, 0.6]).exact
    assert not stats.mean_of([0.3, 0.3001]).exact


def test_proportion_interval_is_clopper_pearson():
    """Its bounds are the rates at which the count is the 2.5% tail."""
    low, high = stats.proportion_interval(3, 5)
    assert reference.binom.sf(2, 5, low) == pytest.approx(0.025, rel=1e-6)
    assert reference.binom.cdf(3, 5, high) == pytest.approx(0.025, rel=1e-6)
    assert stats.proportion_interval(0, 4)[0] == 0.0
    assert stats.proportion_interval(4, 4)[1] == 1.0


@pytest.mark.parametrize("n", [1, 3, 10])
def test_detectable_rate_is_missed_by_all_seeds_in_one_of_twenty(n):
    assert (1 - stats.detectable_rate(n)) ** n == pytest.approx(0.05)


def test_trend_p_counts_the_orders_that_are_as_extreme():
    levels, values = [0, 0, 0, 1, 1, 1], [3.0, 1.0, 4.0, 2.0, 6.0, 5.0]

    def concordance(order):
        return sum(np.sign(b - a) for (i, a), (j, b) in itertools.combinations(enumerate(order), 2) if levels[i] != levels[j])

    all_orders = [concordance(order) for order in itertools.permutations(values)]
    rising = np.mean([s >= concordance(values) for s in all_orders])
    falling = np.mean([s <= concordance(values) for s in all_orders])
    assert stats.p_trend(levels, values) == pytest.approx((rising, falling))


def test_trend_is_found_in_noise_by_at_most_one_in_twenty():
    rng = np.random.default_rng(5)
    found = [2 * min(stats.p_trend([0, 0, 1, 1, 2, 2], rng.normal(size=6))) < 0.05 for _ in range(300)]
    assert 0.005 < np.mean(found) <= 0.05


def test_rank_p_counts_the_orders_of_few_points():
    assert stats.p_ranks([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx((1 / 24, 1.0))
    assert stats.p_ranks([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx((1.0, 1 / 24))


def test_trend_p_is_the_same_each_time():
    rng = np.random.default_rng(6)
    levels, values = np.repeat([0, 1, 2, 3], 3), rng.normal(size=12)
    assert stats.p_trend(levels, values) == stats.p_trend(levels, values)


@given(st.lists(st.floats(0, 1), max_size=12))
@few
def test_holm_steps_down(ps):
    """Holm's adjusted p: the largest, so far, of p times the tests that are left, in order of size."""
    wanted, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        wanted[i] = largest
    assert stats.holm(ps) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["pearson", "spearman", "kendall"])
def test_the_bounds_of_a_correlations_interval_are_where_a_side_has_two_and_a_half_percent(name):
    x, noise = np.random.default_rng(11).normal(size=(2, 12))
    found = getattr(stats, name)(x, x + noise)
    assert found.low < found.r < found.high
    assert (found.p_above(found.low), found.p_below(found.high)) == pytest.approx((0.025, 0.025), rel=1e-6)
    assert found.p_above(found.high) == found.p_below(found.low) == pytest.approx(0.975, rel=1e-6)
    assert found.p_above(found.r) == found.p_below(found.r) == 0.5


def test_detectable_correlation_is_shown_in_four_of_five():
    rng, n = np.random.default_rng(7), 30
    rho = stats.detectable_correlation(1 / math.sqrt(n - 3))
    x, noise = rng.normal(size=(2, 20_000, n))
    ps = reference.pearsonr(x, rho * x + math.sqrt(1 - rho**2) * noise, axis=1).pvalue
    assert np.mean(ps < 0.05) == pytest.approx(0.80, abs=0.03)


def test_a_trend_over_many_values_is_the_permutations_in_the_time_of_sorting(monkeypatch):
    rng = np.random.default_rng(3)
    levels = np.repeat(np.arange(3), 51)
    values = list(rng.normal(size=153) + 0.12 * levels)
    quick = stats.p_trend(levels, values)
    n, tied = 153, 51
    spread = math.sqrt((n * (n - 1) * (2 * n + 5) - 3 * tied * (tied - 1) * (2 * tied + 5)) / 18)  # of S (Kendall 1970)
    normal = reference.norm.sf(concordances(levels, np.array([values]))[0] / spread)
    assert quick == pytest.approx((normal, 1 - normal), rel=1e-9)
    monkeypatch.setattr(stats, "NORMAL_ABOVE", 1_000)
    monkeypatch.setattr(stats, "PERMUTATIONS", 999)
    assert quick == pytest.approx(stats.p_trend(levels, values), abs=0.02)
    assert quick[0] < 0.5 < quick[1]
