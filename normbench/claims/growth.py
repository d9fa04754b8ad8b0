"""How a quantity grows along depths or layers: within a factor, by a power, exponentially.

A seed is the unit: the places of one network are not independent, so each seed gives one number (a ratio, a slope)
and the interval is over seeds.
"""

import math

import numpy as np
from scipy.stats import linregress

from normbench.claims import stats
from normbench.claims.decision import ONE_SEED, Region, all_of, judged
from normbench.claims.outcomes import Outcome, Readings, Series, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import decimals, number


def constant(series: Series, ratio: float, readings: Readings) -> Outcome:
    """max/min over x is at most `ratio` (> 1): Student's interval over seeds of the log ratio, reported as a factor."""
    if series.smallest <= 0:
        return _not_positive(series, "largest over smallest means nothing", ratio, "ratio")
    logs = [math.log(max(row)) - math.log(min(row)) for row in series.values]
    if series.n < 2:
        effect = _factor(logs[0])
        says = _ratio_says(series, effect, decimals(0, "ratio", (effect,), (ratio,)), "n 1")
        return undecided(says, ONE_SEED, 1, effect=effect, margin=ratio, unit="ratio")
    return _as_ratio(series, stats.mean_of(logs), logs, ratio, readings)


def _as_ratio(series: Series, estimate: stats.Estimate, logs: list[float], ratio: float, readings: Readings) -> Outcome:
    """The outcome of a mean log ratio, its numbers turned back into factors (of which none is below 1)."""
    effect, low, high = (_factor(max(0.0, v)) for v in (estimate.mean, *estimate.interval))
    common = {"effect": effect, "low": low, "high": high, "margin": ratio, "n": series.n, "unit": "ratio", "readings": readings}
    digits = decimals((high - low) / 2, "ratio", (effect, low, high), (ratio,))
    region = Region(high=math.log(ratio))
    if estimate.exact:
        says = _ratio_says(series, effect, digits, f"every seed alike, n {series.n}")
        return Outcome(**common, rule=region.exact(estimate.mean), says=says)
    support, contradict = estimate.p_region(region.low, region.high)
    factor = _factor(stats.detectable_mean(logs))
    return Outcome(
        **common,
        p_support=support,
        p_contradict=contradict,
        detectable=factor,
        says=_ratio_says(series, effect, digits, f"95% {number(low, digits)} to {number(high, digits)}, n {series.n}"),
        shows=f"{series.n} seeds could have shown a factor of {factor:.3g}",
    )


def _factor(log: float) -> float:
    return math.exp(min(log, 700.0))  # above, exp overflows, and no claim is about such factors


def _ratio_says(series: Series, effect: float, digits: int, rest: str) -> str:
    return f"{series.label}: largest over smallest {number(effect, digits)} {_places(series)} ({rest})"


def power(series: Series, exponent: float, tol: float, readings: Readings) -> Outcome:
    """y grows as x**exponent: the slope of log y on log x, a line fitted for each seed, lies within `tol` of `exponent`."""
    if odd := _no_logarithm(series, tol):
        return odd
    slopes = [float(linregress(np.log(series.x), np.log(row)).slope) for row in series.values]
    what = f"{series.label}: grows with exponent"
    if series.n < 2:
        digits = decimals(0, "", (slopes[0],), (exponent - tol, exponent + tol))
        return undecided(f"{what} {number(slopes[0], digits)} {_places(series)} (n 1)", ONE_SEED, 1, effect=slopes[0], margin=tol)
    estimate = stats.mean_of(slopes)
    return judged(
        estimate,
        Region(exponent - tol, exponent + tol),
        readings,
        n=series.n,
        margin=tol,
        unit="",
        detectable=stats.detectable_mean(slopes),
        says=lambda digits, interval: f"{what} {number(estimate.mean, digits)} {_places(series)} ({interval}, n {series.n})",
    )


def exponential(series: Series) -> Outcome:
    """y grows faster than any power, in two parts: log y rises, and it is closer to a line in x than in log x.

    Closer by the difference of R**2, at three places or more.
    """
    if odd := _no_logarithm(series, None):
        return odd
    if len(series.x) < 3:
        raise InputError(f"series {series.label!r}: two places fit a power and an exponential alike; give at least three")
    fits = [(linregress(series.x, np.log(row)), linregress(np.log(series.x), np.log(row))) for row in series.values]
    rates = [float(by_x.slope) for by_x, _ in fits]
    leads = [_r2(by_x) - _r2(by_log) for by_x, by_log in fits]
    grows = Readings("growing", "not growing", "whether it grows stays open")
    bends = Readings("exponential growth", "growth by a power at most", "whether a power or an exponential fits stays open")
    rising = _above_zero(series, rates, grows, f"{series.label}: its logarithm rises {_places(series)} by", "per unit")
    fitting = _above_zero(series, leads, bends, "an exponential explains more of it than a power by", "of R2")
    return all_of([rising, fitting])


def _no_logarithm(series: Series, margin: float | None) -> Outcome | None:
    """What is to be said of a series that has no logarithm; None where it has one."""
    if min(series.x) <= 0:
        raise InputError(f"series {series.label!r}: growth needs places above 0 for their logarithm, got {min(series.x):g}")
    return _not_positive(series, "its logarithm means nothing", margin, "") if series.smallest <= 0 else None


def _above_zero(series: Series, values: list[float], readings: Readings, before: str, after: str) -> Outcome:
    """The mean of one number a seed, above zero or not."""
    mean = float(np.mean(values))
    if series.n < 2:
        return undecided(f"{before} {number(mean, decimals(0, '', (mean,), (0.0,)))} {after} (n 1)", ONE_SEED, 1, effect=mean, margin=0.0)
    return judged(
        stats.mean_of(values),
        Region(low=0.0, strict=True),
        readings,
        n=series.n,
        margin=0.0,
        unit="",
        detectable=stats.detectable_mean(values),
        says=lambda digits, interval: f"{before} {number(mean, digits)} {after} ({interval}, n {series.n})",
    )


def _r2(fit) -> float:
    """The share of the variance that a line explains; none of it where there is none."""
    return float(fit.rvalue) ** 2 if math.isfinite(fit.rvalue) else 0.0


def _places(series: Series) -> str:
    return f"over {len(series.x)} places from {min(series.x):g} to {max(series.x):g}"


def _not_positive(series: Series, why: str, margin: float | None, unit: str) -> Outcome:
    """A measured zero (a dead layer, an underflow) is a finding that no ratio and no slope can express."""
    return undecided(f"{series.label} falls to {series.smallest:g}", f"{why}, so this stays open", series.n, margin=margin, unit=unit)
