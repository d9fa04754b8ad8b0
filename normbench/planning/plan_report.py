"""What would run, and what it could show:  python -m normbench.planning.plan_report --root build/quick

Runs, expected GPU-hours by paper and claim (the cheapest first; arms that claims share count once), and for each claim the
smallest effect that the tier's seeds could show, in units of the standard deviation over seeds. Trains nothing.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Grid

from normbench.config.papers import reached, read_paper
from normbench.config.tasks import absence, read_task
from normbench.config.tiers import TierFile, read_tier
from normbench.planning.budget import Wanted, arms_of_claim, cheapest_first, corrected, gpu_hours, measured_seconds
from normbench.planning.line import read_content


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    plan = read_content(args.root / "plan.json")
    tier = read_tier(plan["tier"])
    hours, measured = arm_hours(plan, tier, args.root)
    console = Console(width=140, soft_wrap=True)
    console.print(f"{tier.tier}: {tier.says}")
    runs = sum(len(tier.seeds_of(arm["spec"]["task"])) for arm in plan["arms"].values())
    console.print(f"{len(hours)} arms, {runs} runs, about {spent(sum(hours.values()), tier)} when nothing is done yet")
    console.print(f"from the time that {measured} arms took, and {tier.machine.macs_per_second:.1e} multiply-adds a second for the others")
    for place, reason in alone(plan) if tier.gpus > 1 else ():
        console.print(f"a run on {place} takes one GPU: {reason}")
    wanted = wanted_by_claim(plan)
    for key in plan["papers"]:
        console.print(claims_grid(key, tier, {claim: arms for (paper, claim), arms in wanted.items() if paper == key}, hours))
    together = 0.0
    for (key, claim), extra in cheapest_first({place: arms for place, arms in wanted.items() if arms}, hours) if tier.gpus else ():
        together += extra
        console.print(f"--config budget_gpu_hours={together:<7.1f} adds {key} {claim}")
    return 0


def arm_hours(plan: dict[str, Any], tier: TierFile, root: Path) -> tuple[dict[str, float], int]:
    """Arm -> GPU-hours of all its seeds (core-hours without GPUs), and of how many arms they were measured."""
    arms = plan["arms"]
    tasks = {arm: entry["spec"]["task"] for arm, entry in arms.items()}
    seeds = {arm: len(tier.seeds_of(task)) for arm, task in tasks.items()}
    measured = measured_seconds(root)
    seconds = corrected({arm: entry["expected_seconds"] / seeds[arm] for arm, entry in arms.items()}, measured, tasks)
    hours = gpu_hours(seconds, {arm: entry["gpus"] for arm, entry in arms.items()}, seeds, arms)
    return hours, len(measured.keys() & arms.keys())


def alone(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """[(task and dataset, why its runs take one GPU), ...] of the planned arms, where the task says that they do."""
    places = sorted({(arm["spec"]["task"], arm["spec"]["dataset"]) for arm in plan["arms"].values()})
    found = ((f"{task} {dataset}", read_task(task).resources.get(dataset)) for task, dataset in places)
    return [(place, resources.alone) for place, resources in found if resources and resources.alone]


def wanted_by_claim(plan: dict[str, Any]) -> Wanted:
    """(paper, claim) -> the planned arms that it needs."""
    points: dict[tuple[str, str], list[str]] = {}
    for point in plan["points"]:
        points.setdefault((point["paper"], point["arm"]), []).append(point["id"])
    known = {arm for found in points.values() for arm in found}
    sources = {arm: plan["arms"][arm]["spec"]["source"] if arm in plan["arms"] else None for arm in known}
    papers = {key: read_paper(key) for key in plan["papers"]}
    return {(key, c.id): arms_of_claim(c, key, points, sources) for key, paper in papers.items() for c in paper.claims}


def spent(hours: float, tier: TierFile) -> str:
    if tier.gpus:
        return f"{hours:.1f} GPU-hours"
    return f"{60 * hours:.1f} core-minutes"


def claims_grid(key: str, tier: TierFile, wanted: dict[str, set[str]], hours: dict[str, float]) -> Grid:
    """One paper's claims, the cheapest first: which run here, what they cost, and what the tier's seeds could show."""
    paper = read_paper(key)
    costs = {claim: sum(hours.get(arm, 0.0) for arm in arms) for claim, arms in wanted.items()}
    together = sum(hours.get(arm, 0.0) for arm in set().union(*wanted.values()))
    grid = Grid(title=f"{key}: {paper.title}: {spent(together, tier)} for all claims", title_justify="left")
    for head in ("claim", "tests", "cost", "smallest detectable effect", "here"):
        grid.add_column(head)
    for claim in sorted(paper.claims, key=lambda c: (not wanted[c.id], costs[c.id], c.id)):
        here = "yes" if reached(claim.start, tier.tier) and claim.tests else f"needs tier {claim.start}"
        here = absence(claim.task) or here
        tests = ", ".join(dict.fromkeys(t.test for t in claim.tests))
        cost = spent(costs[claim.id], tier) if here == "yes" else ""
        shows = dict.fromkeys(t.detectable(len(tier.seeds_of(claim.task))) for t in claim.tests)
        grid.add_row(claim.id, tests or "none yet", cost, ", ".join(filter(None, shows)), here)
    return grid


if __name__ == "__main__":
    sys.exit(main())
