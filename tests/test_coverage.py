"""What has not run: why, what it needs, and what that costs; sums count shared arms once."""

import pytest

from normbench.config.papers import read_paper
from normbench.planning.coverage import missing, plan_of

PAPER = read_paper("rescalenet")


def rows(**verdicts: str) -> list[dict[str, str]]:
    shared = {"paper": "rescalenet", "because": "why."}
    return [{**shared, "claim": claim.id, "verdict": verdicts.get(claim.id, "supported")} for claim in PAPER.claims]


def above(tier: str) -> list:
    return [claim for claim in PAPER.claims if claim.start == tier]


def test_a_claim_above_the_tier_costs_what_its_arms_take_there():
    claims = above("laptop")
    assert claims, "the paper has no claim that starts at the laptop tier; take another paper"
    found, together = missing({"rescalenet": PAPER}, rows(**{c.id: "not run" for c in claims}), "quick")
    mine = {one.name: one for one in found if one.what == "claim"}
    assert set(mine) == {c.id for c in claims} and {one.needs for one in mine.values()} == {"laptop"}
    plan = plan_of("laptop")
    for claim in claims:
        names = {o.arm for test in claim.tests for o in test.operands()}
        arms = {arm for name in names for _, arm in plan.points["rescalenet", name]}
        arms |= {plan.arms[arm].source for arm in arms} - {None}
        assert mine[claim.id].runs == sum(len(plan.seeds(arm)) for arm in arms)
        assert mine[claim.id].hours == pytest.approx(sum(plan.seconds(arm) for arm in arms) / 3600)
    (whole,) = [one for one in together if one.tier == "laptop"]
    hours = [one.hours for one in mine.values()]
    assert whole.claims == len(claims) and max(hours) <= whole.hours  # tables that need the tier are in it too


def test_what_no_tier_would_help_has_no_cost():
    claim = next(c for c in PAPER.claims if c.start == "quick")
    found, _ = missing({"rescalenet": PAPER}, rows(**{claim.id: "not run"}), "quick")
    (one,) = [entry for entry in found if entry.what == "claim"]
    assert (one.needs, one.runs, one.hours, one.because) == ("", 0, 0.0, "why")


def test_tables_above_the_tier_are_counted_and_those_of_the_tier_are_not():
    found, _ = missing({"rescalenet": PAPER}, rows(), "quick")
    assert {one.name for one in found} == {t.title for t in PAPER.tables if t.start in ("laptop", "gpu", "paper")}
    assert missing({"rescalenet": PAPER}, rows(), "paper") == ([], [])
