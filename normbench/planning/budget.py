"""What claims cost, the cheapest first, and what a budget of GPU-hours pays for. Torch-free.

An arm costs what its runs took where there are some; where there are none, what its multiply-adds take on the tier's machine,
times what such an estimate was wrong by for the task's measured arms.
"""

from collections.abc import Collection
from pathlib import Path
from statistics import median
from typing import Any

from normbench.config.papers import Claim
from normbench.core.errors import InputError
from normbench.planning.plan import Plan

Wanted = dict[tuple[str, str], set[str]]  # (paper, claim) -> arms


def measured_seconds(root: Path) -> dict[str, float]:
    """Arm -> mean seconds of a run, of what was collected before."""
    if not (root / "runs.parquet").is_file():
        return {}
    import polars as pl  # only where something was collected

    each = pl.scan_parquet(root / "runs.parquet").filter(pl.col("status") == "finished").unique("run")
    return dict(each.group_by("arm").agg(pl.col("seconds").mean()).collect().iter_rows())


def corrected(expected: dict[str, float], measured: dict[str, float], tasks: dict[str, str]) -> dict[str, float]:
    """Arm -> seconds of a run, after what was measured. tasks: arm -> task."""
    wrong_by: dict[str, list[float]] = {}
    for arm in measured.keys() & expected.keys():
        wrong_by.setdefault(tasks[arm], []).append(measured[arm] / max(expected[arm], 1e-9))
    factors = {task: median(ratios) for task, ratios in wrong_by.items()}
    return {arm: measured.get(arm, seconds * factors.get(tasks[arm], 1.0)) for arm, seconds in expected.items()}


def arms_of_claim(plan: Plan, paper: str, claim: Claim) -> set[str]:
    """The arms that a claim's tests read, and those whose weight norms they use."""
    named = {arm for test in claim.tests for operand in test.operands() for arm in plan.arms_at(paper, operand.arm)}
    sources = {plan.arms[arm].source for arm in named if arm in plan.arms}
    return (named | sources) - {None}


def wanted_by_claim(plan: Plan) -> Wanted:
    """(paper, claim) -> the arms that it needs."""
    return {(key, claim.id): arms_of_claim(plan, key, claim) for key, paper in plan.papers.items() for claim in paper.claims}


def arm_hours(plan: Plan, root: Path, arms: Collection[str]) -> dict[str, float]:
    """Arm -> GPU-hours of all its runs (core-hours without GPUs), after what was measured in the folder `root`."""
    expected = {arm: plan.run_seconds(arm) for arm in plan.arms}
    seconds = corrected(expected, measured_seconds(root), {arm: spec.task for arm, spec in plan.arms.items()})
    return gpu_hours(seconds, {a: plan.gpus(a) for a in arms}, {a: len(plan.seeds(a)) for a in arms}, arms)


def within_budget(plan: Plan, root: Path, left: list[str], budget: Any) -> list[str]:
    """Those of the arms that are left which a budget of GPU-hours pays for; what is done costs nothing any more."""
    hours = arm_hours(plan, root, left)
    paid = affordable(wanted_by_claim(plan), hours, read_budget(budget, plan.tier.gpus, plan.tier.tier))
    sources = {plan.arms[arm].source for arm in paid}
    return [arm for arm in left if arm in paid | sources]


def cheapest_first(wanted: Wanted, hours: dict[str, float]) -> list[tuple[tuple[str, str], float]]:
    """[(claim, what it costs beyond those before it), ...]: each time the one that then costs least."""
    left, paid, order = dict(wanted), set(), []
    while left:
        extra = {claim: sum(hours.get(arm, 0.0) for arm in arms - paid) for claim, arms in left.items()}
        claim = min(extra, key=lambda c: (extra[c], c))
        paid |= left.pop(claim)
        order.append((claim, extra[claim]))
    return order


def affordable(wanted: Wanted, hours: dict[str, float], budget: float) -> set[str]:
    """The arms that a budget pays for: whole claims, then single arms of tables and figures, each the cheapest first."""
    paid, left = set(), budget
    for claim, extra in cheapest_first(wanted, hours):
        if extra > left:
            break  # what follows costs at least as much
        paid |= wanted[claim] & hours.keys()
        left -= extra
    for arm in sorted(hours.keys() - paid, key=lambda a: (hours[a], a)):
        if hours[arm] > left:
            break
        paid.add(arm)
        left -= hours[arm]
    return paid


def read_budget(value: Any, gpus: int, tier: str) -> float:
    """--config budget_gpu_hours, checked."""
    try:
        hours = float(value)
    except (TypeError, ValueError):
        hours = 0.0
    if not 0 < hours < float("inf"):
        raise InputError(f"--config budget_gpu_hours: {value!r} is no number of hours above 0")
    if not gpus:
        raise InputError(f"--config budget_gpu_hours: tier {tier} trains on CPU cores and spends none; tiers gpu and paper do")
    return hours


def gpu_hours(seconds: dict[str, float], gpus: dict[str, int], runs: dict[str, int], arms: Collection[str]) -> dict[str, float]:
    """Arm -> GPU-hours of all its runs (core-hours where it has no GPU)."""
    return {arm: seconds[arm] * max(1, gpus[arm]) * runs[arm] / 3600 for arm in arms}
