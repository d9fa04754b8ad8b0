"""From an estimate to an outcome: a claim puts the true value inside a region, the seeds say how surprising that would be."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normbench.claims.outcomes import Outcome, Readings
from normbench.core.errors import InputError
from normbench.core.formatting import counted, decimals, gap, number

if TYPE_CHECKING:  # scipy comes with it
    from normbench.claims.stats import Estimate

ONE_SEED = "one seed has no interval, so this stays open"


@dataclass(frozen=True)
class Region:
    """Where the true value lies if the claim holds: low..high; strict: the bounds themselves show nothing."""

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def exact(self, value: float) -> str:
        """The rule's word for a value known exactly."""
        on_bound = any(math.isclose(value, b, rel_tol=1e-9, abs_tol=1e-12) for b in (self.low, self.high) if math.isfinite(b))
        if on_bound:
            return "inconclusive" if self.strict else "supported"
        return "supported" if self.low < value < self.high else "contradicted"


def judged(
    estimate: "Estimate",
    region: Region,
    readings: Readings,
    *,
    n: int,
    margin: float,
    unit: str,
    detectable: float | None,
    says: Callable[[int, str], str],
    seeds: str = "",
) -> Outcome:
    """The outcome of an estimate of n >= 2 seeds: by p, or where all seeds agree by where the exact value lies.

    says(digits, interval) puts the numbers into words, all rounded alike. seeds: who could have shown `detectable`.
    """
    low, high = estimate.interval
    numbers = {"effect": estimate.mean, "low": low, "high": high, "margin": margin, "n": n, "unit": unit, "readings": readings}
    digits = decimals((high - low) / 2, unit, (estimate.mean, low, high), (region.low, region.high))
    if estimate.exact:
        return Outcome(**numbers, rule=region.exact(estimate.mean), says=says(digits, "every seed alike"))
    support, contradict = estimate.p_region(region.low, region.high)
    return Outcome(
        **numbers,
        p_support=support,
        p_contradict=contradict,
        detectable=detectable,
        says=says(digits, f"95% {number(low, digits)} to {number(high, digits)}"),
        shows=f"{seeds or counted(n, 'seed')} could have shown {gap(detectable, unit, digits)}",
    )


def all_of(outcomes: Sequence[Outcome]) -> Outcome:
    """A claim of several parts: supported only if all are, contradicted if any is.

    p_support is the largest of the parts' (intersection-union), p_contradict the smallest times their number (Bonferroni).
    Numbers are those of the weakest part. A part that was not run leaves the whole not run; figures only add their numbers.
    """
    parts = [part for outcome in outcomes for part in (outcome.parts or (outcome,))]
    if not parts:
        raise InputError("a claim: it has no parts; it needs at least one test")
    if len(parts) == 1:
        return parts[0]
    deciding = [part for part in parts if part.rule != "answered"]
    rule, support, contradict = _together(deciding)
    weakest = min(deciding or parts, key=_strength)
    return Outcome(
        effect=weakest.effect,
        low=weakest.low,
        high=weakest.high,
        margin=weakest.margin,
        n=weakest.n,
        detectable=weakest.detectable,
        unit=weakest.unit,
        p_support=support,
        p_contradict=contradict,
        rule=rule,
        says="; ".join(part.sentence(part.unadjusted) for part in parts),
        readings=Readings("all parts hold", "not all parts hold", "not every part is settled"),
        parts=tuple(parts),
    )


def _together(parts: list[Outcome]) -> tuple[str | None, float | None, float | None]:
    """(rule, p_support, p_contradict) of parts that must all hold."""
    rules = [part.rule for part in parts if part.rule]
    tested = [part for part in parts if not part.rule]
    if not parts:
        return "answered", None, None
    for rule in ("not run", "contradicted"):
        if rule in rules:
            return rule, None, None
    if not tested:
        return "inconclusive" if "inconclusive" in rules else "supported", None, None
    support = 1.0 if "inconclusive" in rules else max(part.p_support for part in tested)
    return None, support, min(1.0, len(tested) * min(part.p_contradict for part in tested))


def _strength(part: Outcome) -> tuple[int, float]:
    """Sorts the part that decides the whole first: not run, contradicted, inconclusive, then the largest p for support."""
    order = ("not run", "contradicted", "inconclusive", None, "supported", "answered")
    return order.index(part.rule), -(part.p_support or 0.0)
