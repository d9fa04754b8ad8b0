"""Every claim's verdict:  python -m normbench.analysis.ledger --root build/quick

Writes claims.csv: paper, claim, kind, task, tier, verdict, because, n, effect, low, high, margin, detectable, source, says.
"""

import argparse
import csv
import sys
from pathlib import Path

from normbench.analysis.claim_reader import ClaimReader
from normbench.analysis.results import Measured
from normbench.claims.decision import all_of
from normbench.claims.kinds import Test
from normbench.claims.operands import NotRun
from normbench.claims.outcomes import Outcome, not_run
from normbench.claims.verdicts import Verdict, decide
from normbench.config.papers import Claim, Paper, reached
from normbench.config.tasks import absence
from normbench.core.command import command
from normbench.core.files import whole_file
from normbench.planning.marks import write_mark

COLUMNS = [
    "paper",
    "claim",
    "kind",
    "task",
    "tier",
    "verdict",
    "because",
    "n",
    "effect",
    "low",
    "high",
    "margin",
    "detectable",
    "source",
    "says",
]


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--done", type=Path, help="the mark that says what was made (normbench/planning/marks.py)")
    args = parser.parse_args()
    measured = Measured.read(args.root)
    rows = [row for paper in measured.plan.papers.values() for row in paper_rows(paper, measured)]
    with whole_file(args.root / "claims.csv", "w") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_mark(args.done, args.root, [args.root / "claims.csv"])


def paper_rows(paper: Paper, measured: Measured) -> list[dict]:
    """One row a claim, in the order of the paper's file."""
    outcomes = {claim.id: outcome_of(paper, claim, measured) for claim in paper.claims}
    questions = [claim.id for claim in paper.claims if claim.kind == "question"]
    verdicts = decide(outcomes, questions, measured.tier)
    return [claim_row(paper, claim, measured.tier, verdicts[claim.id]) for claim in paper.claims]


def outcome_of(paper: Paper, claim: Claim, measured: Measured) -> Outcome:
    """What the claim's tests found, or why they were not made."""
    if absent := absence(claim.task):
        return not_run(absent)
    if not reached(claim.start, measured.tier):
        return not_run(f"needs tier {claim.start}")
    if not claim.tests:
        return not_run("has no test yet")
    try:
        return all_of([run_test(paper, claim, test, measured) for test in claim.tests])
    except NotRun as reason:
        return not_run(str(reason))


def run_test(paper: Paper, claim: Claim, test: Test, measured: Measured) -> Outcome:
    """One test on what was measured; raises NotRun where it was not."""
    return test.outcome(ClaimReader(paper, claim, measured), claim.metric)


def claim_row(paper: Paper, claim: Claim, tier: str, verdict: Verdict) -> dict:
    numbers = {key: _text(getattr(verdict, key)) for key in ("effect", "low", "high", "margin", "detectable")}
    return {
        "paper": paper.key,
        "claim": claim.id,
        "kind": claim.kind,
        "task": claim.task,
        "tier": tier,
        "verdict": verdict.verdict,
        "because": verdict.because,
        "n": verdict.n,
        **numbers,
        "source": claim.source,
        "says": claim.says,
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


if __name__ == "__main__":
    sys.exit(main())
