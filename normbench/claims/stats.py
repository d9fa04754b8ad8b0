"""Intervals, one-sided p-values and detectable effects from a few seeds: what verdicts are made of.

Everything is two-sided at 5%: intervals are 95% intervals, and a detectable effect is the true one that
would be shown with 80% power. Plain numbers in, plain numbers out; scipy and statsmodels do the work.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
ALPHA = 0.05
POWER = 0.80
DRAWS = 100_000
NORMAL_ABOVE = 150  # values, from where on Kendall's normal curve is as near as so many permutations, which compare all pairs
PERMUTATIONS = 9_999  # at most; with fewer distinct orders the test is exact

Numbers = Sequence[float]


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and degrees of freedom. se == 0: all values were alike, the mean is exact."""

    mean: float
    se: float
    df: float

    @property
    def exact(self) -> bool:
        """No spread at all."""
        return self.se == 0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean."""
        half = 0.0 if self.exact else self.se * float(stdtrit(self.df, (1 + LEVEL) / 2))
        return self.mean - half, self.mean + half

    def p_above(self, bound: float) -> float:
        """One-sided p for "the true mean is above `bound`"."""
        return self._tail(self.mean - bound)

    def p_below(self, bound: float) -> float:
        """One-sided p for "the true mean is below `bound`"."""
        return self._tail(bound - self.mean)

    def p_region(self, low: float, high: float) -> tuple[float, float]:
        """(p for "inside low..high", p for "outside"); an infinite bound leaves that side open.

        Inside takes both one-sided tests (TOST, Schuirmann 1987): the larger p. Outside is either of them: the
        smaller p, doubled where there are two.
        """
        inside = max(self.p_above(low), self.p_below(high))
        sides = [p for p, bound in ((self.p_below(low), low), (self.p_above(high), high)) if math.isfinite(bound)]
        return inside, min(1.0, len(sides) * min(sides))

    def _tail(self, distance: float) -> float:
        if math.isinf(distance):
            return 0.0 if distance > 0 else 1.0
        assert not self.exact, "an exact mean is compared, not tested"
        return float(stdtr(self.df, -distance / self.se))


def alike(values: Numbers) -> bool:
    """Whether all values are the same but for rounding."""
    return max(values) - min(values) <= 1e-12 * max(abs(v) for v in values)


def mean_of(values: Numbers) -> Estimate:
    """Student's estimate of the mean of n >= 2 values."""
    if alike(values):
        return Estimate(float(np.mean(values)), 0.0, len(values) - 1)
    return _estimate(stats.ttest_1samp(values, 0.0), float(np.mean(values)))


def difference(a: Numbers, b: Numbers) -> Estimate:
    """Welch's estimate of mean(a) - mean(b), n >= 2 on both sides, variances not assumed equal (Welch 1947)."""
    mean = float(np.mean(a) - np.mean(b))
    if alike(a) and alike(b):
        return Estimate(mean, 0.0, len(a) + len(b) - 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side alike (all of its seeds diverged, say) adds nothing to the variance
        return _estimate(stats.ttest_ind(a, b, equal_var=False), mean)


def _estimate(result, mean: float) -> Estimate:
    """The standard error behind a scipy t-test, through its interval: its statistic does not hold it where the mean is 0."""
    interval = result.confidence_interval(LEVEL)
    half = float(interval.high - interval.low) / 2
    return Estimate(mean, half / float(stdtrit(result.df, (1 + LEVEL) / 2)), float(result.df))


@cache
def effect_size(n: int) -> float:
    """The true mean, in standard deviations, that Student's test of n values shows with 80% power."""
    from statsmodels.stats.power import TTestPower  # seconds of import that reading numbers need not pay

    return float(TTestPower().solve_power(nobs=n, alpha=ALPHA, power=POWER))


@cache
def effect_size_welch(n: int, m: int) -> float:
    """The true difference, in standard deviations, that Welch's test of n against m seeds shows with 80% power.

    Simulated, since no formula has it: each draw (seeded) of the noise is shown from some difference on, and this is what 80%
    of the draws need. The pooled test's power, which formulas do have, promises too much: at 3 seeds a side its 80% are 69%.
    """
    rng = np.random.default_rng(0)
    noise = rng.normal(size=DRAWS) * math.sqrt(1 / n + 1 / m)
    a, b = rng.chisquare(n - 1, DRAWS) / (n - 1) / n, rng.chisquare(m - 1, DRAWS) / (m - 1) / m
    df = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    return float(np.quantile(stdtrit(df, 1 - ALPHA / 2) * np.sqrt(a + b) - noise, POWER))


def detectable_mean(values: Numbers) -> float | None:
    """The smallest true mean that as many values of this spread would show; None without a spread."""
    if len(values) < 2 or alike(values):
        return None
    return effect_size(len(values)) * float(np.std(values, ddof=1))


def detectable_difference(a: Numbers, b: Numbers) -> float | None:
    """The smallest true difference that as many seeds with this pooled standard deviation would show; None without a spread."""
    if min(len(a), len(b)) < 2 or (alike(a) and alike(b)):
        return None
    squares = (len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)
    return effect_size_welch(len(a), len(b)) * math.sqrt(squares / (len(a) + len(b) - 2))


def proportion_interval(successes: int, n: int) -> tuple[float, float]:
    """The exact 95% interval of a rate (Clopper & Pearson 1934)."""
    interval = stats.binomtest(successes, n).proportion_ci(LEVEL, method="exact")
    return float(interval.low), float(interval.high)


def detectable_rate(n: int) -> float:
    """The smallest rate of an event that n seeds show at least once with 95% probability."""
    return 1 - ALPHA ** (1 / n)


@dataclass(frozen=True)
class Correlation:
    """A correlation r with its 95% interval and its standard error on Fisher's scale, atanh(r); None where points are too few."""

    r: float
    low: float | None
    high: float | None
    se: float | None

    def p_above(self, bound: float) -> float:
        """One-sided p for "the true correlation is above `bound`"."""
        return float(stats.norm.sf((_z(self.r) - _z(bound)) / self.se))

    def p_below(self, bound: float) -> float:
        """One-sided p for "the true correlation is below `bound`"."""
        return float(stats.norm.cdf((_z(self.r) - _z(bound)) / self.se))


def pearson(x: Numbers, y: Numbers) -> Correlation:
    """Pearson's correlation of n > 3 points with Fisher's interval."""
    return _correlation(float(stats.pearsonr(x, y).statistic), 1 / math.sqrt(len(x) - 3))


def spearman(x: Numbers, y: Numbers) -> Correlation:
    """Spearman's correlation of n > 3 points; its Fisher interval is wider by sqrt(1.06) (Fieller, Hartley & Pearson 1957)."""
    return _correlation(float(stats.spearmanr(x, y).statistic), math.sqrt(1.06 / (len(x) - 3)))


def kendall(x: Numbers, y: Numbers) -> Correlation:
    """Kendall's tau-b; from five points on with the interval of Fieller, Hartley & Pearson (1957), before that with none.

    Their variance is widened by what ties in x (several seeds at one level) add to that of tau: else it covers 92% and not 95%.
    """
    tau, n = float(stats.kendalltau(x, y).statistic), len(x)
    if n <= 4:
        return Correlation(tau, None, None, None)
    tied = np.unique(x, return_counts=True)[1]
    variance = 1 - float((tied * (tied - 1) * (2 * tied + 5)).sum()) / (n * (n - 1) * (2 * n + 5))
    pairs = 1 - float((tied * (tied - 1)).sum()) / (n * (n - 1))
    return _correlation(tau, math.sqrt(0.437 / (n - 4) * variance / pairs))


def detectable_correlation(se: float) -> float:
    """The smallest true correlation that an estimate with this standard error on Fisher's scale would show."""
    return math.tanh(se * float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)))


def _correlation(r: float, se: float) -> Correlation:
    half = se * float(stats.norm.ppf((1 + LEVEL) / 2))
    return Correlation(r, math.tanh(_z(r) - half), math.tanh(_z(r) + half), se)


def _z(r: float) -> float:
    return math.atanh(max(-1 + 1e-12, min(1 - 1e-12, r)))


def p_trend(x: Numbers, y: Numbers) -> tuple[float, float]:
    """One-sided p for (rising, falling) by Kendall's statistic over permutations of y.

    Permuted and not from the normal curve, which at two levels of three seeds calls p = 0.05 what is 0.10.
    """
    if len(x) > NORMAL_ABOVE:
        sides = (stats.kendalltau(x, y, alternative=side, method="asymptotic") for side in ("greater", "less"))
        return tuple(float(side.pvalue) for side in sides)
    i, j = np.triu_indices(len(x), 1)
    order = np.sign(np.asarray(x)[j] - np.asarray(x)[i])

    def concordance(values, axis):
        return (order * np.sign(values[..., j] - values[..., i])).sum(axis)

    return _permuted(y, concordance)


def p_ranks(x: Numbers, y: Numbers) -> tuple[float, float]:
    """One-sided p for a (positive, negative) rank correlation over permutations of y."""
    ranks = stats.rankdata(x)
    return _permuted(stats.rankdata(y), lambda values, axis: (ranks * values).sum(axis))


def _permuted(values: Numbers, statistic) -> tuple[float, float]:
    options = {"permutation_type": "pairings", "vectorized": True, "n_resamples": PERMUTATIONS, "batch": 500}
    data = (np.asarray(values, dtype=float),)
    above, below = (
        stats.permutation_test(data, statistic, alternative=side, rng=np.random.default_rng(0), **options) for side in ("greater", "less")
    )
    return float(above.pvalue), float(below.pvalue)


def holm(ps: Numbers) -> list[float]:
    """p-values adjusted for having made len(ps) tests (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(ps, alpha=ALPHA, method="holm")[1]] if len(ps) else []
