"""Tests on the means of samples over seeds: better, not_worse, within, reproduces.

Margins are in the metric's unit and fixed before any run.
"""

from normbench.claims import stats
from normbench.claims.decision import ONE_SEED, Region, judged
from normbench.claims.outcomes import Outcome, Readings, Sample, not_run, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import amount, counted, decimals, exactly, gap, number


def better(a: Sample, b: Sample, by: float = 0.0, paired: bool = False) -> Outcome:
    """The mean of a is better than that of b by more than `by` (Welch's t, or Student's over the pairs of a seed)."""
    if by:
        words = exactly(by, a.unit)
        readings = Readings(f"better by more than {words}", f"not better by {words}", f"whether it is better by {words} stays open")
    else:
        readings = Readings("better", "worse", "which is better stays open")
    return _compared(a, b, paired, Region(low=by, strict=True), by, readings)


def not_worse(a: Sample, b: Sample, margin: float, paired: bool = False) -> Outcome:
    """The mean of a is not worse than that of b by more than `margin`."""
    worse = f"worse by more than {exactly(margin, a.unit)}" if margin else "worse"
    return _compared(a, b, paired, Region(low=-margin), margin, Readings(f"not {worse}", worse, f"whether it is {worse} stays open"))


def within(a: Sample, b: Sample, margin: float, paired: bool = False) -> Outcome:
    """The means of a and b differ by at most `margin` either way (two one-sided tests)."""
    words = exactly(margin, a.unit)
    readings = Readings(f"within {words} of each other", f"more than {words} apart", f"whether they are within {words} stays open")
    return _compared(a, b, paired, Region(-margin, margin), margin, readings)


def reproduces(sample: Sample, reported: float, tolerance: float, tier: str, paper_tier: str = "paper") -> Outcome:
    """The mean lies within `tolerance` of the reported number; only a run at the paper's own scale can say so."""
    if tier != paper_tier:
        says = f"a reported number can only be reproduced at the {paper_tier} tier, and this is the {tier} tier"
        return not_run(says, sample.n, margin=tolerance, unit=sample.unit)
    against = f"the reported {number(reported, decimals(0, sample.unit, (reported,)))}"
    if sample.n < 2:
        effect = sample.mean - reported
        says = _versus([sample], against, effect, decimals(0, sample.unit, (effect,)), "n 1")
        return undecided(says, ONE_SEED, 1, effect=effect, margin=tolerance, unit=sample.unit)
    words = exactly(tolerance, sample.unit)
    readings = Readings(f"within {words} of it", f"more than {words} from it", f"whether it is within {words} stays open")
    gaps = [value - reported for value in sample.values]
    estimate = stats.mean_of(gaps)
    return judged(
        estimate,
        Region(-tolerance, tolerance),
        readings,
        n=sample.n,
        margin=tolerance,
        unit=sample.unit,
        detectable=stats.detectable_mean(gaps),
        says=lambda digits, interval: _versus([sample], against, estimate.mean, digits, f"{interval}, n {sample.n}"),
    )


def _compared(a: Sample, b: Sample, paired: bool, region: Region, margin: float, readings: Readings) -> Outcome:
    """The difference a - b, positive where a is better, against the region."""
    _comparable(a, b)
    gaps = _gaps_by_seed(a, b) if paired else []
    n, seeds = min(a.n, b.n), f"n {a.n} pairs" if paired else f"n {a.n}+{b.n}"
    if a.all_diverged and b.all_diverged:
        says = f"{a.label} and {b.label} both diverged in every seed ({seeds})"
        return undecided(says, "nothing is left to compare", n, margin=margin, unit=a.unit)
    if n < 2:
        effect = a.sign * (a.mean - b.mean)
        says = _versus([a, b], "", effect, decimals(0, a.unit, (effect,)), seeds)
        return undecided(says, ONE_SEED, n, effect=effect, margin=margin, unit=a.unit)
    xs, ys = ([a.sign * value for value in sample.values] for sample in (a, b))
    estimate = stats.mean_of(gaps) if paired else stats.difference(xs, ys)
    return judged(
        estimate,
        region,
        readings,
        n=n,
        margin=margin,
        unit=a.unit,
        detectable=stats.detectable_mean(gaps) if paired else stats.detectable_difference(xs, ys),
        says=lambda digits, interval: _versus([a, b], "", estimate.mean, digits, f"{interval}, {seeds}"),
        seeds=counted(n, "pair") if paired else f"{a.n} seeds" if a.n == b.n else f"{a.n}+{b.n} seeds",
    )


def _comparable(a: Sample, b: Sample) -> None:
    if a.direction == "none":
        raise InputError(f"sample {a.label!r}: neither high nor low {a.metric or 'values'} are good, so none can be better; use figure")
    for key in ("unit", "direction", "metric"):
        ours, theirs = getattr(a, key), getattr(b, key)
        if ours != theirs:
            raise InputError(f"samples {a.label!r} and {b.label!r}: {key} is {ours!r} and {theirs!r}; only the same can be compared")


def _gaps_by_seed(a: Sample, b: Sample) -> list[float]:
    """a - b for each seed, in the good direction."""
    if set(a.seeds) != set(b.seeds):
        seeds = f"{sorted(a.seeds)} and {sorted(b.seeds)}"
        raise InputError(f"samples {a.label!r} and {b.label!r}: their seeds are {seeds}; pairs need the same seeds on both sides")
    other = dict(zip(b.seeds, b.values, strict=True))
    return [a.sign * (value - other[seed]) for seed, value in zip(a.seeds, a.values, strict=True)]


def _versus(samples: list[Sample], against: str, effect: float, digits: int, rest: str) -> str:
    """RescaleNet 91.3% top1 against batch norm 90.9%: difference +0.4 points (95% -0.6 to 1.4, n 3+3)."""
    sides = " against ".join([described(s, digits, metric=s is samples[0]) for s in samples] + ([against] if against else []))
    what = ", lower is better: advantage" if samples[0].direction == "lower" and not against else ": difference"
    return f"{sides}{what} {gap(effect, samples[0].unit, digits, plus=True)} ({rest})"


def described(sample: Sample, digits: int, metric: bool = False) -> str:
    """batch norm 90.9% top1 (1 of 3 seeds diverged)."""
    lost = sum(sample.diverged)
    name = f" {sample.metric.replace('_', ' ')}" if metric and sample.metric else ""
    note = f" ({lost} of {counted(sample.n, 'seed')} diverged)" if lost else ""
    if sample.unit != "%" and sample.mean and round(sample.mean, digits) == 0:
        digits = decimals(0, sample.unit, (sample.mean,))  # a difference of none says nothing about the size of its sides
    return f"{sample.label} {amount(sample.mean, sample.unit, digits)}{name}{note}"
