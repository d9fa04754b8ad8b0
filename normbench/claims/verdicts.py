"""Verdicts: what a paper's claims come to, each with one sentence that holds its numbers, adjusted for their number (Holm 1979)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from normbench.claims.outcomes import Outcome
from normbench.claims.stats import ALPHA, holm
from normbench.core.formatting import p_value


@dataclass(frozen=True)
class Verdict:
    """supported, contradicted, inconclusive, answered or not run; because: why, in one sentence. Numbers as in Outcome."""

    verdict: str
    because: str
    n: int
    effect: float | None
    low: float | None
    high: float | None
    margin: float | None
    detectable: float | None


def decide(claims: Mapping[str, Outcome], questions: Collection[str] = (), tier: str = "") -> dict[str, Verdict]:
    """The verdicts over one paper's claims, by id. Questions are answered; they and what a rule decided do not enter Holm's count."""
    tested = [id_ for id_, outcome in claims.items() if outcome.rule is None and id_ not in questions]
    adjusted = dict(zip(tested, holm([claims[id_].p for id_ in tested]), strict=True))
    return {id_: _verdict(outcome, adjusted.get(id_), id_ in questions, tier) for id_, outcome in claims.items()}


def _verdict(outcome: Outcome, p: float | None, question: bool, tier: str) -> Verdict:
    """p: adjusted; None for a question and where a rule decides."""
    found = outcome.unadjusted if p is None else outcome.leaning if p < ALPHA else "inconclusive"
    chance = "" if outcome.rule else f" ({p_value(outcome.p)})" if p is None else f" (adjusted {p_value(p)})"
    rest = [outcome.shows] * bool(outcome.shows) + [f"measured at the {tier} tier"] * bool(tier and found != "not run")
    return Verdict(
        verdict="answered" if question and found != "not run" else found,
        because="; ".join([outcome.sentence(found) + chance, *rest]) + ".",
        n=outcome.n,
        effect=outcome.effect,
        low=outcome.low,
        high=outcome.high,
        margin=outcome.margin,
        detectable=outcome.detectable,
    )
