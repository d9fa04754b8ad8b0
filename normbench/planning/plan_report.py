"""What would run, and what it could show:  python -m normbench.planning.plan_report --config '{"tier": "quick"}'

Runs, expected GPU-hours by paper and claim (the cheapest first; arms that claims share count once), and for each claim the
smallest effect that the tier's seeds could show, in units of the standard deviation over seeds. Trains nothing.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from normbench.config.papers import Paper, reached
from normbench.config.tasks import absence
from normbench.config.tiers import TierFile
from normbench.core.command import command
from normbench.planning.budget import arm_hours, cheapest_first, measured_seconds, wanted_by_claim
from normbench.planning.pipeline import open_pipeline
from normbench.planning.plan import Plan, resources_of


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, default={}, help="as Snakemake's --config, as JSON")
    args = parser.parse_args()
    pipeline = open_pipeline(args.config)
    report(pipeline.shown, pipeline.folders.root, Console(width=140, soft_wrap=True))


def report(plan: Plan, root: Path, console: Console) -> None:
    """Print the plan. root: where runs may have been measured before."""
    tier, hours = plan.tier, arm_hours(plan, root, plan.arms)
    console.print(f"{tier.tier}: {tier.says}")
    runs = sum(len(plan.seeds(arm)) for arm in plan.arms)
    console.print(f"{len(hours)} arms, {runs} runs, about {spent(sum(hours.values()), tier)} when nothing is done yet")
    measured = len(measured_seconds(root).keys() & plan.arms.keys())
    console.print(f"from the time that {measured} arms took, and {tier.machine.macs_per_second:.1e} multiply-adds a second for the others")
    for place, reason in alone(plan) if tier.gpus > 1 else ():
        console.print(f"a run on {place} takes one GPU: {reason}")
    wanted = wanted_by_claim(plan)
    for key, paper in plan.papers.items():
        console.print(claims_grid(paper, tier, {claim: arms for (other, claim), arms in wanted.items() if other == key}, hours))
    together = 0.0
    for (key, claim), extra in cheapest_first({place: arms for place, arms in wanted.items() if arms}, hours) if tier.gpus else ():
        together += extra
        console.print(f"--config budget_gpu_hours={together:<7.1f} adds {key} {claim}")


def alone(plan: Plan) -> list[tuple[str, str]]:
    """[(task and dataset, why its runs take one GPU), ...] of the planned arms, where the task says that they do."""
    places = {f"{spec.task} {spec.dataset}": resources_of(spec) for spec in plan.arms.values()}
    return [(place, resources.alone) for place, resources in sorted(places.items()) if resources.alone]


def spent(hours: float, tier: TierFile) -> str:
    if tier.gpus:
        return f"{hours:.1f} GPU-hours"
    return f"{60 * hours:.1f} core-minutes"


def claims_grid(paper: Paper, tier: TierFile, wanted: dict[str, set[str]], hours: dict[str, float]) -> Grid:
    """One paper's claims, the cheapest first: which run here, what they cost, and what the tier's seeds could show."""
    costs = {claim: sum(hours.get(arm, 0.0) for arm in arms) for claim, arms in wanted.items()}
    together = sum(hours.get(arm, 0.0) for arm in set().union(*wanted.values()))
    grid = Grid(title=f"{paper.key}: {paper.title}: {spent(together, tier)} for all claims", title_justify="left")
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
