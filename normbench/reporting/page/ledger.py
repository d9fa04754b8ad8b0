"""The ledger's entries for the page: a claim with its intervals as pictures, its arms and runs, and how to run it again."""

from typing import Any

from normbench.analysis.ledger import run_test
from normbench.analysis.results import Measured, label_of, point_words
from normbench.claims.operands import NotRun, Operand
from normbench.config.papers import Claim, Paper, paper_file
from normbench.config.spec import model_label
from normbench.config.tasks import read_task
from normbench.core.formatting import amount, decimals
from normbench.reporting.page.interval_picture import interval_picture
from normbench.reporting.plots.style import VERDICTS

FACETS = ("paper", "task", "tier", "verdict")


def entry(paper: Paper, claim: Claim, row: dict[str, str], measured: Measured, index: dict[str, int]) -> dict[str, Any]:
    """A row of claims.csv as it is, with what stands behind it. index: arm id -> its place among the page's arms."""
    ran = row["verdict"] != "not run"
    arms = claim_arms(paper, claim, measured) if ran else []
    return {
        **row,
        "id": f"{paper.key}-{claim.id}",
        "from": claim.start,
        "letter": VERDICTS[row["verdict"]][0],
        "reason": claim.reason,
        "pictures": _pictures(paper, claim, measured) if ran else [],
        "tests": list(dict.fromkeys(test.test.replace("_", " ") for test in claim.tests)),
        "arms": [{**one, "at": index.get(one["arm"])} for one in arms],
        "command": f"snakemake all --config tier={measured.tier} papers={paper.key} tasks={claim.task}",
        "file": f"{paper_file(paper.key)}: claims.{claim.id}",
    }


def claim_arms(paper: Paper, claim: Claim, measured: Measured) -> list[dict[str, Any]]:
    """The arms that a claim's tests read, each once, as planned: label, method, network, dataset, and what came of it."""
    found: dict[str, dict[str, Any]] = {}
    for operand in (o for test in claim.tests for o in test.operands()):
        for point, arm in _points(paper, operand, measured):
            if arm not in found and arm in measured.plan.arms:
                label = label_of(paper, operand.arm) + (f", {point_words(point)}" if point else "")
                found[arm] = {"arm": arm, "label": label, **_told(measured, arm)}
    return list(found.values())


def _points(paper: Paper, operand: Operand, measured: Measured) -> list[tuple[dict[str, Any], str]]:
    points = measured.plan.points.get((paper.key, operand.arm), [])
    return [(p, arm) for p, arm in points if all(p.get(key) == value for key, value in operand.at.items())]


def _told(measured: Measured, arm: str) -> dict[str, str]:
    spec, rows = measured.plan.arms[arm], measured.runs_of(arm)
    headline = read_task(spec.task).headline
    unit = read_task(spec.task).metrics[headline].unit
    values = measured.finished(arm, headline)
    lost, refused = (sum(run.status == status for run in rows) for status in ("diverged", "refused"))
    ended = [f"{len(rows)} seeds" if len(rows) != 1 else "1 seed"] + [f"{lost} diverged"] * bool(lost) + ["refused"] * bool(refused)
    mean = sum(values) / len(values) if values else None
    return {
        "method": spec.method,
        "network": model_label(spec.model),
        "dataset": spec.dataset,
        "metric": headline.replace("_", " "),
        "mean": "–" if mean is None else amount(mean, unit, decimals(0, unit, (mean,))),
        "seeds": ", ".join(ended) if len(rows) else "not selected",
    }


def _pictures(paper: Paper, claim: Claim, measured: Measured) -> list[tuple[str, str]]:
    """(the part's words, its picture) of every test that has a number."""
    found = []
    for test in claim.tests:
        try:
            outcome = run_test(paper, claim, test, measured)
        except NotRun:
            continue
        if picture := interval_picture(test, outcome):
            found.append((outcome.says, picture))
    return found


def facets(entries: list[dict[str, Any]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """[(what to filter by, [(value, how many entries), ...]), ...]: values in the order of the entries, verdicts and tiers in their own."""
    orders = {"verdict": list(VERDICTS), "tier": ["quick", "laptop", "gpu", "paper"]}
    result = []
    for facet in FACETS:
        values = [one["from"] if facet == "tier" else one[facet] for one in entries]
        known = [v for v in orders.get(facet, dict.fromkeys(values)) if v in values]
        result.append((facet, [(value, values.count(value)) for value in known]))
    return result
