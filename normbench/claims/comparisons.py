"""Means of samples over seeds, against each other and against a number. Margins are in the metric's unit and fixed before any run."""

from normbench.claims import stats
from normbench.claims.decision import ONE_SEED, Region, judged
from normbench.claims.outcomes import Outcome, Readings, Sample, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import amount, counted, decimals, gap, number


def compared(a: Sample, b: Sample, paired: bool, region: Region, margin: float, readings: Readings) -> Outcome:
    """The difference of the means a - b, positive where a is better, against the region (Welch's t, or Student's over pairs of seeds)."""
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


def against_number(sample: Sample, known: float, region: Region, margin: float, readings: Readings) -> Outcome:
    """The difference between the mean and a reported number, against the region (Student's t)."""
    against = f"the reported {number(known, decimals(0, sample.unit, (known,)))}"
    if sample.n < 2:
        effect = sample.mean - known
        says = _versus([sample], against, effect, decimals(0, sample.unit, (effect,)), "n 1")
        return undecided(says, ONE_SEED, 1, effect=effect, margin=margin, unit=sample.unit)
    gaps = [value - known for value in sample.values]
    estimate = stats.mean_of(gaps)
    return judged(
        estimate,
        region,
        readings,
        n=sample.n,
        margin=margin,
        unit=sample.unit,
        detectable=stats.detectable_mean(gaps),
        says=lambda digits, interval: _versus([sample], against, estimate.mean, digits, f"{interval}, n {sample.n}"),
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
