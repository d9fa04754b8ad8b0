"""What a tier leaves out: claims and tables that were not run, which tier they need and what they would cost there. Torch-free.

Costs are estimates from multiply-adds (normbench/config/cost_model.py); arms that several claims share count once in a sum.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from normbench.config.fidelity import RANK
from normbench.config.papers import Paper, reached
from normbench.config.tasks import absence
from normbench.planning.budget import arms_of_claim
from normbench.planning.make import make_plan
from normbench.planning.plan import Plan


@dataclass(frozen=True)
class Missing:
    """Something that was not run. needs: a tier, "" where another tier would not help. runs, hours: of the arms that it reads there."""

    paper: str
    what: str
    name: str
    because: str
    needs: str
    runs: int
    hours: float
    gpus: bool


@dataclass(frozen=True)
class Together:
    """Everything that needs one tier."""

    tier: str
    claims: int
    runs: int
    hours: float
    gpus: bool


@cache
def plan_of(tier: str) -> Plan:
    return make_plan(tier)


def missing(papers: dict[str, Paper], claims: list[dict[str, str]], tier: str) -> tuple[list[Missing], list[Together]]:
    """(claims and tables that were not run, sums by the tier that they need)."""
    found, arms = [], {}
    for row in claims:
        if row["verdict"] != "not run":
            continue
        claim = next(c for c in papers[row["paper"]].claims if c.id == row["claim"])
        needs = "" if reached(claim.start, tier) or absence(claim.task) else claim.start
        names = {o.arm for test in claim.tests for o in test.operands()}
        own = _arms(needs, row["paper"], names) | (arms_of_claim(plan_of(needs), row["paper"], claim) if needs else set())
        found.append(_one(row["paper"], "claim", claim.id, row["because"].rstrip("."), needs, own))
        arms.setdefault(needs, set()).update(own)
    for key, paper in papers.items():
        for table in paper.tables:
            if not reached(table.start, tier):
                own = _arms(table.start, key, table.every_arm())
                found.append(_one(key, "table", table.title, f"needs tier {table.start}", table.start, own))
                arms.setdefault(table.start, set()).update(own)
    together = []
    for needs in sorted((t for t in arms if t), key=RANK.get):
        number = sum(one.needs == needs and one.what == "claim" for one in found)
        together.append(Together(needs, number, *_cost(needs, arms[needs]), bool(plan_of(needs).tier.gpus)))
    return found, together


def _one(paper: str, what: str, name: str, because: str, needs: str, arms: set[str]) -> Missing:
    return Missing(paper, what, name, because, needs, *_cost(needs, arms), bool(needs and plan_of(needs).tier.gpus))


def _arms(tier: str, paper: str, names: Iterable[str]) -> set[str]:
    return {arm for name in names for arm in plan_of(tier).arms_at(paper, name)} if tier else set()


def _cost(tier: str, arms: set[str]) -> tuple[int, float]:
    """(runs, GPU-hours, or core-hours where the tier has no GPUs)."""
    if not tier:
        return 0, 0.0
    plan = plan_of(tier)
    return sum(len(plan.seeds(arm)) for arm in arms), sum(plan.seconds(arm) * max(1, plan.gpus(arm)) for arm in arms) / 3600
