"""What would run, and what it could show:  python -m normbench.plan_report --root build/quick

Runs, expected time, and for each claim the smallest effect that the tier's seeds could show, in units of
the standard deviation over seeds. Trains nothing.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from normbench.line import read_content
from normbench.papers import reached, read_paper
from normbench.stats import effect_size_welch
from normbench.tasks import absence
from normbench.tiers import read_tier


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    plan = read_content(args.root / "plan.json")
    tier, n = read_tier(plan["tier"]), len(plan["seeds"])
    arms = plan["arms"]
    seconds = sum(arm["expected_seconds"] for arm in arms.values())
    console = Console(width=140, soft_wrap=True)
    where = f"{seconds / 3600 * max(1, tier.gpus):.1f} GPU-hours" if tier.gpus else f"{seconds / 60:.0f} minutes on one core"
    console.print(f"{tier.tier}: {tier.says}")
    console.print(f"{len(arms)} arms, {len(arms) * n} runs, about {where} when nothing is done yet")
    for key in plan["papers"]:
        console.print(claims_grid(key, tier.tier, n))
    return 0


def claims_grid(key: str, tier: str, n: int) -> Grid:
    """One paper's claims: which run here, and what n seeds a side could show."""
    paper = read_paper(key)
    grid = Grid(title=f"{key}: {paper.title}", title_justify="left")
    for head in ("claim", "tests", "smallest detectable effect", "here"):
        grid.add_column(head)
    for claim in paper.claims:
        here = "yes" if reached(claim.start, tier) and claim.tests else f"needs tier {claim.start}"
        here = absence(claim.task) or here
        tests = ", ".join(dict.fromkeys(t.test for t in claim.tests))
        grid.add_row(claim.id, tests or "none yet", detectable_words(tests, n), here)
    return grid


def detectable_words(tests: str, n: int) -> str:
    """80% power at a two-sided 5%, in standard deviations over seeds."""
    if any(t in tests for t in ("better", "not_worse", "within")):
        return f"{effect_size_welch(n, n):.1f} sd" if n > 1 else "none with one seed"
    if "trainable" in tests:
        return f"{100 * (1 - 0.05 ** (1 / n)):.0f}% of seeds failing"
    return ""


if __name__ == "__main__":
    sys.exit(main())
