"""Every claim's verdict:  python -m normbench.analysis.ledger --root build/quick

Writes claims.csv: paper, claim, kind, task, tier, verdict, because, n, effect, low, high, margin, detectable, source, says.
"""

import argparse
import csv
import sys
from pathlib import Path

from normbench.analysis.results import Measured, NotRun
from normbench.claims.verdicts import TESTS, Outcome, Sample, Series, Verdict, all_of, decide, not_run
from normbench.config.papers import Claim, Operand, Paper, Test, claim_place, reached, reported_number
from normbench.config.spec import canonical
from normbench.config.tasks import absence, recipe_fields
from normbench.core.errors import InputError
from normbench.core.files import whole_file

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    args = parser.parse_args()
    try:
        measured = Measured.read(args.root)
        rows = [row for paper in measured.plan.papers.values() for row in paper_rows(paper, measured)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with whole_file(args.root / "claims.csv", "w") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return 0


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
    """One test on what was measured."""
    metric, place = test.metric or claim.metric, claim_place(paper, claim)
    if test.test in ("better", "not_worse", "within"):
        if test.paired:
            _check_paired(paper, test, measured, place)
        amount = {"by": test.by or 0.0} if test.test == "better" else {"margin": test.margin}
        return TESTS[test.test](*(measured.of(paper, o, metric) for o in (test.a, test.b)), **amount, paired=test.paired)
    if test.test == "trainable":
        return TESTS["trainable"](measured.of(paper, test.arm, metric), test.margin)
    if test.test == "untrainable":
        return TESTS["untrainable"](measured.of(paper, test.arm, metric), test.margin, measured.of(paper, test.control, metric))
    if test.test == "constant":
        return TESTS["constant"](measured.series(paper, test.arm, test.quantity, test.along or "k"), test.ratio)
    if test.test == "growth":
        series = _series(paper, test, measured, metric)
        return TESTS["growth"](series, test.exponent, test.tolerance, test.form)
    if test.test == "monotone":
        levels = [measured.of(paper, o, metric) for o in test.arms] if test.arms else _series(paper, test, measured, metric)
        return TESTS["monotone"](levels, test.direction, test.margin or 0.0)
    if test.test == "figure":
        return TESTS["figure"](_numbers(paper, test, measured, metric))
    if test.test == "reproduces":
        number = reported_number(paper, test.reported, place)
        return TESTS["reproduces"](measured.of(paper, test.arm, metric), float(number["value"]), test.tolerance, measured.tier)
    if test.test == "equal":
        a = measured.series(paper, test.a, test.quantity, test.along or "k")
        b = known(a, test.value) if test.b is None else measured.series(paper, test.b, test.quantity, test.along or "k")
        return TESTS["equal"](a, b, test.rtol)
    assert test.test == "correlated", test.test  # the list is closed where papers are read
    return TESTS["correlated"](*pairs(paper, test, measured), test.sign, test.at_least or 0.0)


def known(series: Series, value: float) -> Series:
    """A series of the same places and seeds that is `value` everywhere."""
    rows = tuple((float(value),) * len(series.x) for _ in series.seeds)
    return Series(f"{value:g}", series.x, rows, series.seeds, series.unit)


def pairs(paper: Paper, test: Test, measured: Measured) -> tuple[Sample, Sample]:
    """Two metrics as samples over arms, each arm by its mean over seeds; an arm that has not both (its method refuses, say) is left out."""
    found, reasons = [], []
    for operand in test.operands():
        try:
            found.append([measured.of(paper, operand, metric).mean for metric in (test.x, test.y)])
        except NotRun as reason:
            reasons.append(str(reason))
    if not found:
        raise NotRun("; ".join(dict.fromkeys(reasons)))
    places, values = tuple(range(len(found))), list(zip(*found, strict=True))
    flags = (False,) * len(found)
    return tuple(
        Sample(metric.replace("_", " "), values[i], places, flags, "", "none", None, metric) for i, metric in enumerate((test.x, test.y))
    )


def _series(paper: Paper, test: Test, measured: Measured, metric: str | None):
    if test.quantity:
        return measured.series(paper, test.arm, test.quantity, test.along or "k")
    operand = Operand(arm=test.arm) if isinstance(test.arm, str) else test.arm
    return measured.sweep(paper, operand, test.along, metric)


def _numbers(paper: Paper, test: Test, measured: Measured, metric: str | None) -> dict:
    """What a figure shows; an arm that has nothing to show (it diverged, say) is left out unless all are."""
    numbers, reasons = {}, []
    for operand in test.operands():
        try:
            if test.quantity:
                one = measured.series(paper, operand, test.quantity, test.along or "k")
            elif test.along:
                one = measured.sweep(paper, operand, test.along, metric)
            else:
                one = measured.of(paper, operand, metric)
            numbers[one.label] = one
        except NotRun as reason:
            reasons.append(str(reason))
    if not numbers:
        raise NotRun("; ".join(dict.fromkeys(reasons)))
    return numbers


def _check_paired(paper: Paper, test: Test, measured: Measured, place: str) -> None:
    """Pairing by seed is fair only where both arms see the same data in the same order."""
    seen = []
    for operand in (test.a, test.b):
        points = measured.plan.arms_at(paper.key, operand if isinstance(operand, str) else operand.arm)
        seen += [measured.plan.arms[arm] for arm in points if arm in measured.plan.arms]
    orders = {canonical([s.task, s.dataset, *(s.recipe.get(key) for key in recipe_fields(s.task).paired)]) for s in seen}
    if len(orders) > 1:
        raise InputError(
            f"{place}: paired: {test.a} and {test.b} differ in dataset, batch, budget or augmentation: their seeds pair nothing"
        )


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
