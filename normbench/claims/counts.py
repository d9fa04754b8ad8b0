"""Tests decided by counting or by looking, with no p-value: trainable, untrainable, equal, figure."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from normbench.claims import stats
from normbench.claims.comparisons import described
from normbench.claims.decision import ONE_SEED
from normbench.claims.outcomes import Outcome, Readings, Sample, Series, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import amount, counted, decimals, exactly, number, rounded


def trainable(a: Sample, margin: float) -> Outcome:
    """Every seed ends finite and better than chance by at least `margin`."""
    readings = Readings("it trains", "it does not train", "some seeds train and some do not")
    return _trained(a, margin, readings, ("supported", "contradicted"), "failure")


def untrainable(a: Sample, margin: float, control: Sample | None = None) -> Outcome:
    """No seed ends finite and better than chance by at least `margin`.

    control: what trains in the same budget. Where it does not, a failure of `a` shows nothing but a budget that is too short.
    """
    readings = Readings("it does not train", "it trains", "some seeds train and some do not")
    outcome = _trained(a, margin, readings, ("contradicted", "supported"), "success")
    if control is None or outcome.rule != "supported" or trainable(control, margin).rule == "supported":
        return outcome
    why = (
        f"but neither does {described(control, decimals(0, control.unit, (control.mean,)))} at every seed: the budget is too short to tell"
    )
    return replace(outcome, rule="inconclusive", readings=Readings("", "", why), shows="")


def _trained(a: Sample, margin: float, readings: Readings, words: tuple[str, str], contrary: str) -> Outcome:
    """The share of seeds that trained; words: the verdict if all did, and if none did; contrary: what would speak against the claim."""
    if a.chance is None or a.direction == "none":
        raise InputError(f"sample {a.label!r}: {a.metric or 'its metric'} has no chance level, so nothing says whether it trained")
    good = sum(not lost and a.sign * (value - a.chance) >= margin for value, lost in zip(a.values, a.diverged, strict=True))
    digits = decimals(0, a.unit, (a.mean,))
    chance = f"at least {exactly(margin, a.unit)} beyond the {number(a.chance, digits)}{'%' if a.unit == '%' else ''} of chance"
    low, high = stats.proportion_interval(good, a.n)
    numbers = {
        "effect": good / a.n,
        "low": low,
        "high": high,
        "margin": margin,
        "detectable": stats.detectable_rate(a.n),
        "unit": "fraction",
    }
    interval = "" if a.n < 2 else f" (95% {100 * low:.0f}% to {100 * high:.0f}% of all seeds)"
    says = f"{described(a, digits, metric=True)}: {good} of {counted(a.n, 'seed')} ended {chance}{interval}"
    if a.n < 2:
        return undecided(says, ONE_SEED, 1, **numbers)
    rule = words[0] if good == a.n else words[1] if not good else "inconclusive"
    shows = f"{a.n} seeds could have shown a {contrary} rate of {100 * numbers['detectable']:.0f}%" if rule == "supported" else ""
    return Outcome(**numbers, n=a.n, rule=rule, says=says, readings=readings, shows=shows)


def equal(a: Sample | Series, b: Sample | Series, rtol: float) -> Outcome:
    """a and b agree value by value, seed by seed: the largest relative error |a - b| / max(|a|, |b|) is at most `rtol`."""
    xs, ys, alone, seeds = _aligned(a, b)
    readings = Readings("equal", "not equal", "nothing is left to compare")
    common = {"n": len(a.seeds), "margin": rtol, "unit": "", "readings": readings}
    if alone:
        says = f"{a.label} and {b.label}: in {counted(alone, 'seed')} of {len(a.seeds)} only one of the two diverged"
        return Outcome(**common, rule="contradicted", says=says)
    if not xs.size:
        return Outcome(**common, rule="inconclusive", says=f"{a.label} and {b.label} both diverged in every seed")
    scale = np.maximum(np.abs(xs), np.abs(ys))
    error = float(np.max(np.abs(xs - ys) / np.where(scale > 0, scale, 1)))
    size = f"{xs.size} values, {counted(seeds, 'seed')}"
    says = f"{a.label} and {b.label} differ by at most {error:.2g} of their size ({size}; {rtol:g} is allowed)"
    return Outcome(**common, effect=error, rule="supported" if error <= rtol else "contradicted", says=says)


def _aligned(a: Sample | Series, b: Sample | Series) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Values to compare; in how many seeds only one side diverged; how many seeds are left (those without any divergence)."""
    if type(a) is not type(b) or set(a.seeds) != set(b.seeds) or getattr(a, "x", ()) != getattr(b, "x", ()):
        raise InputError(f"{a.label!r} and {b.label!r}: values can only be equal one by one, for the same seeds and places")
    rows, others = ({seed: row for seed, row in zip(s.seeds, s.values, strict=True)} for s in (a, b))
    lost, gone = ({seed for seed, flag in zip(s.seeds, getattr(s, "diverged", ()), strict=False) if flag} for s in (a, b))
    kept = [seed for seed in a.seeds if seed not in lost | gone]
    xs, ys = (np.asarray([side[seed] for seed in kept], dtype=float) for side in (rows, others))
    return xs, ys, len(lost ^ gone), len(kept)


def figure(numbers: Mapping[str, Sample | Series]) -> Outcome:
    """A question that numbers answer: the mean and standard deviation of each arm, or where a series starts and ends."""
    if not numbers:
        raise InputError("figure: it has no numbers; it needs at least one arm")
    says = "; ".join(_shown(label, one) for label, one in numbers.items())
    return Outcome(rule="answered", says=says, n=min(one.n for one in numbers.values()), unit=next(iter(numbers.values())).unit)


def _shown(label: str, one: Sample | Series) -> str:
    if isinstance(one, Series):
        return _ends(label, one)
    lost = f", {sum(one.diverged)} diverged" if any(one.diverged) else ""
    metric = f" {one.metric.replace('_', ' ')}" if one.metric else ""
    if one.n < 2:
        return f"{label} {amount(one.mean, one.unit, decimals(0, one.unit, one.values))}{metric} (n 1{lost})"
    sd = float(np.std(one.values, ddof=1))
    digits = decimals(sd, one.unit, (one.mean,))
    return f"{label} {amount(one.mean, one.unit, digits)}{metric} (n {one.n}, sd {number(sd, digits)}{lost})"


def _ends(label: str, series: Series) -> str:
    means = np.mean(series.values, axis=0)
    first, last, low, high = (float(v) for v in (means[0], means[-1], means.min(), means.max()))
    spread = float(np.mean(np.std(series.values, axis=0, ddof=1))) if series.n > 1 else 0.0
    bounds = f"lowest {rounded(low, series.unit)}, highest {rounded(high, series.unit)}"
    sd = f", sd over seeds {rounded(spread, series.unit)}" if series.n > 1 else ""
    ends = f"{rounded(first, series.unit)} at {series.x[0]:g} and {rounded(last, series.unit)} at {series.x[-1]:g}"
    return f"{label} {ends} ({bounds}, n {series.n}{sd})"
