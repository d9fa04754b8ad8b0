"""Order: of levels, along a series, and between two metrics over points."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.stats import combine_pvalues, kendalltau

from normbench.claims import stats
from normbench.claims.comparisons import described
from normbench.claims.decision import ONE_SEED
from normbench.claims.outcomes import Outcome, Readings, Sample, Series, undecided
from normbench.claims.stats import ALPHA, Estimate
from normbench.core.errors import InputError
from normbench.core.formatting import counted, decimals, gap, joined, rounded

WAYS = {"rising": 1, "falling": -1}
SIGNS = {"positive": 1, "negative": -1}
RANK = "rank correlation"


def along_levels(levels: Sequence[Sample], direction: str, margin: float) -> Outcome:
    """The metric gets better (rising) or worse (falling) along the levels: Kendall's tau of all seeds against the level, by permutation.

    Supported: the trend is significant and no step between neighbors is significantly reversed by more than `margin`.
    Contradicted: the trend is significantly the other way, or there is such a step.
    """
    _same_metric(levels)
    first, names = levels[0], [s.label for s in levels]
    n, seeds = min(s.n for s in levels), "n " + "+".join(str(s.n) for s in levels)
    digits = decimals(max(float(np.std(s.values)) for s in levels), first.unit, [s.mean for s in levels])
    says = joined([described(s, digits, metric=s is first) for s in levels])
    values = [first.sign * v for s in levels for v in s.values]
    if n < 2:
        return undecided(f"{says} ({seeds})", ONE_SEED, n, margin=margin, unit=RANK)
    if all(s.all_diverged for s in levels) or stats.alike(values):
        return undecided(f"{says} ({seeds})", "all seeds of all levels are alike, so nothing has an order", n, margin=margin, unit=RANK)
    way = WAYS[direction] * first.sign
    steps = [stats.difference([way * v for v in b.values], [way * v for v in a.values]) for a, b in pairwise(levels)]
    ranks = [k for k, s in enumerate(levels) for _ in s.values]
    tau = stats.kendall(ranks, values)
    numbers = {"effect": tau.r, "low": tau.low, "high": tau.high, "detectable": stats.detectable_correlation(tau.se) if tau.se else None}
    interval = f"95% {tau.low:.2f} to {tau.high:.2f}, " if tau.se else ""
    says += f": rank correlation with their order {tau.r:+.2f} ({interval}{seeds}), {_worst_step(steps, names, first.unit, digits)}"
    shows = f"{len(values)} runs could have shown a rank correlation of {numbers['detectable']:.2f}" if tau.se else ""
    verb = {"rising": "rise", "falling": "fall"} if first.direction == "none" else {"rising": "improve", "falling": "get worse"}
    readings = _readings(f"they {verb[direction]}", f"they do not {verb[direction]}", "in this order")
    ps = stats.p_trend(ranks, values)
    return _ordered(ps, steps, direction, margin, readings=readings, n=n, unit=RANK, says=says, shows=shows, **numbers)


def along_series(series: Series, direction: str, margin: float) -> Outcome:
    """The series rises or falls along x, supported and contradicted as levels are; each seed has a tau, the interval is over seeds."""
    places = sorted(range(len(series.x)), key=series.x.__getitem__)
    x, rows = [series.x[i] for i in places], [[row[i] for i in places] for row in series.values]
    means = [float(v) for v in np.mean(rows, axis=0)]
    start, end = rounded(means[0], series.unit), rounded(means[-1], series.unit)
    digits = decimals(0, series.unit, means)
    says = f"{series.label} goes from {start} at {x[0]:g} to {end} at {x[-1]:g}"
    if series.n < 2:
        return undecided(f"{says} (n 1)", ONE_SEED, 1, margin=margin, unit=RANK)
    taus = [0.0 if stats.alike(row) else float(kendalltau(x, row).statistic) for row in rows]
    trend, way = stats.mean_of(taus), WAYS[direction]
    low, high = (max(-1.0, min(1.0, v)) for v in trend.interval)
    steps = [stats.mean_of([way * (row[i + 1] - row[i]) for row in rows]) for i in range(len(x) - 1)]
    interval = "every seed alike" if trend.exact else f"95% {low:.2f} to {high:.2f}"
    worst = _worst_step(steps, [f"{v:g}" for v in x], series.unit, digits)
    says += f": rank correlation with the place {trend.mean:+.2f} ({interval}, n {series.n}), {worst}"
    ps = _combined(x, rows) if trend.exact else (trend.p_above(0.0), trend.p_below(0.0))
    numbers = {"effect": trend.mean, "low": low, "high": high, "detectable": stats.detectable_mean(taus)}
    shows = "" if trend.exact else f"{series.n} seeds could have shown a rank correlation of {numbers['detectable']:.2f}"
    verb = {"rising": "rise", "falling": "fall"}[direction]
    readings = _readings(f"it {verb}s", f"it does not {verb}", "on the way")
    return _ordered(ps, steps, direction, margin, readings=readings, n=series.n, unit=RANK, says=says, shows=shows, **numbers)


def _readings(yes: str, no: str, where: str) -> Readings:
    return Readings(f"{yes} {where}", f"{no} {where}", f"whether {yes} {where} stays open")


def _combined(x: list[float], rows: list[list[float]]) -> tuple[float, float]:
    """One-sided p for (rising, falling) where all seeds have the same tau, which leaves no spread for a t-test.

    Stouffer's combination of each seed's own p: a tau that three places reach by chance is no certainty.
    """

    def p(side: str) -> float:
        ps = [1.0 if stats.alike(row) else float(kendalltau(x, row, alternative=side).pvalue) for row in rows]
        return float(combine_pvalues(np.clip(ps, 1e-12, 1 - 1e-12), method="stouffer").pvalue)

    return p("greater"), p("less")


def _ordered(ps: tuple[float, float], steps: list[Estimate], direction: str, margin: float, **rest) -> Outcome:
    """ps: for rising and falling; steps: between neighbors, positive the claimed way."""
    claimed, reverse = ps if direction == "rising" else ps[::-1]
    back = min(1.0, len(steps) * min(_p_reversed(step, margin) for step in steps))
    return Outcome(
        p_support=1.0 if 2 * back < ALPHA else claimed,
        p_contradict=min(1.0, 2 * min(reverse, back)),
        margin=margin,
        **rest,
    )


def _p_reversed(step: Estimate, margin: float) -> float:
    if step.exact:
        return float(step.mean >= -margin)
    return step.p_below(-margin)


def _worst_step(steps: list[Estimate], names: list[str], unit: str, digits: int) -> str:
    """The largest step against the claim."""
    k = min(range(len(steps)), key=lambda i: steps[i].mean)
    if steps[k].mean >= 0:
        return "no step back"
    return f"largest step back {gap(-steps[k].mean, unit, digits)} from {names[k]} to {names[k + 1]}"


def _same_metric(levels: Sequence[Sample]) -> None:
    for key in ("unit", "direction", "metric"):
        for other in levels[1:]:
            ours, theirs = getattr(levels[0], key), getattr(other, key)
            if ours != theirs:
                raise InputError(
                    f"samples {levels[0].label!r} and {other.label!r}: {key} is {ours!r} and {theirs!r}; only the same can be ordered"
                )


def correlated(x: Sample, y: Sample, sign: str, at_least: float, readings: Readings) -> Outcome:
    """The correlation of x and y over points has this sign and is at least `at_least` in size, by Pearson and by Spearman both.

    A sample holds one value a point here, and `seeds` number the points. effect, low, high: Pearson's, with Fisher's interval.
    """
    if x.seeds != y.seeds:
        raise InputError(
            f"samples {x.label!r} and {y.label!r}: they have the points {list(x.seeds)} and {list(y.seeds)}; both need the same"
        )
    n, pair = x.n, f"{x.label} and {y.label}"
    common = {"margin": at_least, "unit": "correlation"}
    if n < 4:
        return undecided(f"{pair} over {counted(n, 'point')}", "fewer than four points have no interval, so this stays open", n, **common)
    if stats.alike(x.values) or stats.alike(y.values):
        return undecided(f"{pair} over {n} points", "one of them does not vary, so this stays open", n, **common)
    pearson, spearman = stats.pearson(x.values, y.values), stats.spearman(x.values, y.values)
    support, contradict = _p_correlated(x, y, SIGNS[sign], at_least)
    detectable = stats.detectable_correlation(pearson.se)
    texts = [f"{name} {c.r:+.2f} (95% {c.low:.2f} to {c.high:.2f})" for name, c in (("linear", pearson), ("rank", spearman))]
    return Outcome(
        effect=pearson.r,
        low=pearson.low,
        high=pearson.high,
        n=n,
        detectable=detectable,
        p_support=support,
        p_contradict=contradict,
        says=f"{pair} over {n} points: correlation {texts[0]}, {texts[1]}",
        readings=readings,
        shows=f"{n} points could have shown a correlation of {detectable:.2f}",
        **common,
    )


def _p_correlated(x: Sample, y: Sample, sign: int, at_least: float) -> tuple[float, float]:
    """The larger p of Pearson and Spearman; ranks of a few points reach 1 by chance, so they must also pass a permutation."""
    signed = [sign * v for v in y.values]
    both = stats.pearson(x.values, signed), stats.spearman(x.values, signed)
    above = max(*(c.p_above(at_least) for c in both), stats.p_ranks(x.values, signed)[0])
    return above, max(c.p_below(at_least) for c in both)
