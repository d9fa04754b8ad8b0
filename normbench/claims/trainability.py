"""Whether the seeds of an arm train: counted, with no p-value."""

from dataclasses import replace

from normbench.claims import stats
from normbench.claims.comparisons import described
from normbench.claims.decision import ONE_SEED
from normbench.claims.outcomes import Outcome, Readings, Sample, undecided
from normbench.core.errors import InputError
from normbench.core.formatting import counted, decimals, exactly, number


def trainable(a: Sample, margin: float) -> Outcome:
    """Every seed ends finite and better than chance by at least `margin`."""
    readings = Readings("it trains", "it does not train", "some seeds train and some do not")
    return _trained(a, margin, readings, ("supported", "contradicted"), "failure")


def untrainable(a: Sample, margin: float, control: Sample) -> Outcome:
    """No seed ends finite and better than chance by at least `margin`.

    control: what trains in the same budget. Where it does not, a failure of `a` shows nothing but a budget that is too short.
    """
    readings = Readings("it does not train", "it trains", "some seeds train and some do not")
    outcome = _trained(a, margin, readings, ("contradicted", "supported"), "success")
    if outcome.rule != "supported" or trainable(control, margin).rule == "supported":
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
