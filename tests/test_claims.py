"""The ledger: planted values get the verdict they deserve, a planted wrong result the other one; and what was not run says why."""

import csv
from dataclasses import replace

import pytest
from facts import mistake
from planted import LOST, a_claim, a_paper, measured
from records_on_disk import run_main, write_line
from scipy import stats

from normbench.analysis.ledger import COLUMNS, main, outcome_of, paper_rows
from normbench.config.papers import read_paper

HIGH, LOW, LOSSES = [90.0, 91.0, 92.0], [80.0, 81.0, 82.0], [LOST] * 3
BETTER = {"test": "better", "a": "a", "b": "b"}
PAIRED = {**BETTER, "paired": True}
NOT_WORSE = {"test": "not_worse", "a": "a", "b": "b", "margin": 3}
WITHIN = {"test": "within", "a": "a", "b": "b", "margin": 3}
TRAINABLE = {"test": "trainable", "arm": "a", "margin": 10}
UNTRAINABLE = {"test": "untrainable", "arm": "a", "margin": 10, "control": "b"}
RISING = {"test": "monotone", "arms": ["a", "b", "c"], "direction": "rising"}


def row_of(claim: dict, values: dict, **given) -> dict:
    sweeps = given.pop("swept", {})
    paper = a_paper([*values], [claim], sweeps=sweeps)
    (row,) = paper_rows(paper, measured(values, **given))
    return row


# test, values of the arms a, b, c, verdict
PLANTED = [
    (BETTER, (HIGH, LOW), "supported"),
    (BETTER, (LOW, HIGH), "contradicted"),
    (BETTER, (HIGH, [85.0, 95.0, 91.0]), "inconclusive"),
    (BETTER, (HIGH, LOSSES), "supported"),  # a diverged run counts with what guessing reaches
    ({**BETTER, "by": 15}, (HIGH, LOW), "contradicted"),
    (PAIRED, ([50.0, 70.0, 90.0], [49.0, 68.9, 89.1]), "supported"),
    (BETTER, ([50.0, 70.0, 90.0], [49.0, 68.9, 89.1]), "inconclusive"),  # the same numbers unpaired
    ({**BETTER, "metric": "test_error"}, (LOW, HIGH), "supported"),  # of an error, low is good
    (NOT_WORSE, (HIGH, HIGH), "supported"),
    (NOT_WORSE, (LOW, HIGH), "contradicted"),
    (WITHIN, ([90.0, 90.1, 90.2], [90.1, 90.0, 90.2]), "supported"),
    (WITHIN, (HIGH, LOW), "contradicted"),
    (WITHIN, (LOW, HIGH), "contradicted"),
    (TRAINABLE, (HIGH, LOW), "supported"),
    (TRAINABLE, ([10.0, 11.0, 19.0], LOW), "contradicted"),
    (TRAINABLE, (LOSSES, LOW), "contradicted"),
    (TRAINABLE, ([90.0, LOST, 92.0], LOW), "inconclusive"),
    (UNTRAINABLE, (LOSSES, LOW), "supported"),
    (UNTRAINABLE, (HIGH, LOW), "contradicted"),
    (UNTRAINABLE, (LOSSES, LOSSES), "inconclusive"),  # nothing trained in that budget
    (RISING, ([50.0, 51.0, 52.0], [60.0, 61.0, 62.0], [70.0, 71.0, 72.0]), "supported"),
    (RISING, ([70.0, 71.0, 72.0], [60.0, 61.0, 62.0], [50.0, 51.0, 52.0]), "contradicted"),
]


@pytest.mark.parametrize("test, values, verdict", PLANTED)
def test_planted_values_get_the_verdict_they_deserve(test, values, verdict):
    row = row_of(a_claim(test), dict(zip("abc", values, strict=False)), metric=test.get("metric", "test_top1"))
    assert row["verdict"] == verdict, row["because"]
    assert row["because"].endswith("measured at the quick tier.") and row["n"] == 3


def test_a_claim_of_several_tests_has_to_pass_them_all():
    values = {"a": HIGH, "b": LOW}
    assert row_of(a_claim(BETTER, TRAINABLE), values)["verdict"] == "supported"
    assert row_of(a_claim(BETTER, {**BETTER, "a": "b", "b": "a"}), values)["verdict"] == "contradicted"


def test_a_row_has_the_numbers_behind_its_verdict():
    row = row_of(a_claim(BETTER), {"a": HIGH, "b": LOW})
    assert list(row) == COLUMNS
    assert (row["paper"], row["claim"], row["kind"], row["task"], row["tier"], row["source"]) == (
        "skipinit", "the-claim", "claim", "imagenet", "quick", "R1"
    )  # fmt: skip
    half = float(stats.t.ppf(0.975, 4)) * (2 / 3) ** 0.5  # Welch's t of two samples of three with standard deviation 1
    assert (row["effect"], row["low"], row["high"], row["margin"]) == ("10", f"{10 - half:.6g}", f"{10 + half:.6g}", "0")
    assert float(row["detectable"]) > 2.2


def test_holm_counts_the_claims_of_the_paper():
    values = {"a": [90.0, 91.0, 92.0], "b": [87.0, 88.0, 89.0]}  # p about 0.02
    alone = a_claim(BETTER)
    others = [a_claim({**BETTER, "a": "c", "b": "d"}, id=f"other{i}") for i in range(5)]
    even = {"c": [50.0, 51.0, 52.0], "d": [50.5, 51.0, 51.5]}
    assert row_of(alone, values)["verdict"] == "supported"
    paper = a_paper([*values, *even], [alone, *others])
    assert paper_rows(paper, measured(values | even))[0]["verdict"] == "inconclusive"
    asked = [{**other, "kind": "question"} for other in others]
    paper = a_paper([*values, *even], [alone, *asked])
    assert [row["verdict"] for row in paper_rows(paper, measured(values | even))] == ["supported"] + ["answered"] * 5


def lr_values(best: dict[int, float], grid=(0.1, 0.2, 0.4, 0.8), stable: dict[int, float] | None = None):
    """A sweep over rates and batch sizes: each batch size is best at its rate, and diverges beyond `stable`."""
    return [
        ({"lr": lr, "batch_size": size}, LOSSES if stable and lr > stable[size] else [(90.0 if lr == rate else 70.0) + s for s in range(3)])
        for size, rate in best.items()
        for lr in grid
    ]


GROWTH = {"test": "growth", "arm": {"arm": "sweep", "take": "best_lr"}, "along": "batch_size", "exponent": 1, "tolerance": 0.2}
SWEPT = {"sweep": {"lr": [0.1, 0.2, 0.4, 0.8], "batch_size": [8, 16, 32]}}


def test_the_best_rate_of_each_batch_size_is_read_off_a_sweep():
    sweep = lr_values({8: 0.1, 16: 0.2, 32: 0.4})
    assert row_of(a_claim(GROWTH), {}, swept=SWEPT, sweeps={"sweep": sweep})["verdict"] == "supported"
    flat = lr_values({8: 0.2, 16: 0.2, 32: 0.2})
    assert row_of(a_claim(GROWTH), {}, swept=SWEPT, sweeps={"sweep": flat})["verdict"] == "contradicted"


def test_the_largest_stable_rate_is_the_last_that_trains():
    stable = {**GROWTH, "arm": {"arm": "sweep", "take": "stable_lr"}}
    sweep = lr_values({8: 0.1, 16: 0.1, 32: 0.1}, stable={8: 0.2, 16: 0.4, 32: 0.8})
    assert row_of(a_claim(stable), {}, swept=SWEPT, sweeps={"sweep": sweep})["verdict"] == "supported"
    assert row_of(a_claim(GROWTH), {}, swept=SWEPT, sweeps={"sweep": sweep})["verdict"] == "contradicted"  # the best one is always 0.1


def test_of_a_sweep_the_best_point_stands_for_it():
    sweep = {"sweep": [({"lr": 0.1}, LOW), ({"lr": 0.2}, HIGH), ({"lr": 0.4}, LOSSES)]}
    over = {"sweep": {"lr": [0.1, 0.2, 0.4]}}
    row = row_of(a_claim({**BETTER, "a": {"arm": "sweep", "take": "best"}, "b": "b"}), {"b": [85.0, 86.0, 87.0]}, swept=over, sweeps=sweep)
    assert row["verdict"] == "supported" and "at learning rate 0.2" in row["because"]
    worse = {"sweep": [({"lr": 0.1}, LOW), ({"lr": 0.2}, [70.0, 71.0, 72.0])]}
    row = row_of(a_claim({**BETTER, "a": {"arm": "sweep", "take": "best"}, "b": "b"}), {"b": [85.0, 86.0, 87.0]}, swept=over, sweeps=worse)
    assert row["verdict"] == "contradicted" and "at learning rate 0.1" in row["because"]


def test_a_sweep_needs_to_be_told_what_to_take():
    sweep = {"sweep": [({"lr": 0.1}, LOW), ({"lr": 0.2}, HIGH)]}
    with mistake("papers/skipinit.yaml", "'sweep'", "2 points", "`take`", "`at`"):
        row_of(a_claim({**BETTER, "a": "sweep"}), {"b": LOW}, swept={"sweep": {"lr": [0.1, 0.2]}}, sweeps=sweep)
    row = row_of(
        a_claim({**BETTER, "a": {"arm": "sweep", "at": {"lr": 0.2}}}), {"b": LOW}, swept={"sweep": {"lr": [0.1, 0.2]}}, sweeps=sweep
    )
    assert row["verdict"] == "supported"


def test_a_quantity_over_the_blocks_is_constant_or_is_not():
    constant = a_claim({"test": "constant", "arm": "a", "quantity": "variance_end", "ratio": 2})
    flat = {k: [1.0, 1.1, 0.9] for k in range(1, 5)}
    assert row_of(constant, {"a": HIGH}, probes={"a": flat})["verdict"] == "supported"
    grown = {k: [2.0**k, 1.1 * 2.0**k, 0.9 * 2.0**k] for k in range(1, 5)}
    assert row_of(constant, {"a": HIGH}, probes={"a": grown})["verdict"] == "contradicted"


def test_a_curve_rises_or_falls_along_the_steps():
    falling = a_claim({"test": "monotone", "arm": "a", "quantity": "train_loss", "along": "step", "direction": "falling"})
    down = {step: [3.0 / step, 2.9 / step, 3.1 / step] for step in range(1, 9)}
    assert row_of(falling, {"a": HIGH}, curves={"a": down})["verdict"] == "supported"
    up = {step: [v * step**2 for v in values] for step, values in down.items()}
    assert row_of(falling, {"a": HIGH}, curves={"a": up})["verdict"] == "contradicted"


def test_a_question_is_answered_and_shows_the_numbers():
    row = row_of(a_claim({"test": "figure", "arms": ["a", "b"]}, kind="question"), {"a": HIGH, "b": LOSSES})
    assert row["verdict"] == "answered" and "91" in row["because"]


PUBLISHED = {"table": "table 1-2", "setting": "cifar10 wide_resnet depth100", "method": "divide_sqrt2", "metric": "test_top1"}
NOT_RUN = [
    (a_claim(BETTER, task="speech"), {"a": HIGH, "b": LOW}, {}, "needs task speech"),
    (a_claim(BETTER, **{"from": "laptop"}), {"a": HIGH, "b": LOW}, {}, "needs tier laptop"),
    (a_claim(), {"a": HIGH}, {}, "has no test yet"),
    (a_claim(BETTER), {"a": HIGH, "b": []}, {}, "its runs were not selected"),
    (a_claim(BETTER), {"a": HIGH, "b": LOW}, {"statuses": {"b": "refused"}}, "the method batch_norm refuses to stand in this model"),
    (
        a_claim({"test": "reproduces", "arm": "a", "tolerance": 1, "reported": PUBLISHED}),
        {"a": HIGH},
        {},
        "a reported number can only be reproduced at the paper tier, and this is the quick tier",
    ),
]


@pytest.mark.parametrize("claim, values, given, why", NOT_RUN, ids=[why for *_, why in NOT_RUN])
def test_what_was_not_run_says_why(claim, values, given, why):
    row = row_of(claim, values, **given)
    assert row["verdict"] == "not run" and row["because"].startswith(why), row["because"]


def test_pairs_of_seeds_that_saw_other_data_are_a_mistake():
    with mistake("papers/skipinit.yaml: claims.the-claim", "paired", "dataset, batch, budget"):
        row_of(a_claim(PAIRED), {"a": HIGH, "b": LOW}, recipes={"b": {"batch_size": 8}})
    assert row_of(a_claim(PAIRED), {"a": HIGH, "b": LOW}, recipes={"b": {"lr": 0.7}})["verdict"] == "supported"


def test_the_task_says_what_pairs_its_runs():
    found = measured({"a": HIGH, "b": LOW})

    def pairs(tokens: dict[str, int]) -> list[dict]:
        for arm, number in tokens.items():
            recipe = {"steps": 3, "max_tokens": number, "augment": arm}  # wmt's recipes know no augment
            found.plan.arms[arm] = replace(found.plan.arms[arm], task="wmt", recipe=recipe)
        return paper_rows(a_paper(["a", "b"], [a_claim(PAIRED)]), found)

    with mistake("paired", "a and b"):
        pairs({"a": 512, "b": 1024})
    assert pairs({"a": 512, "b": 512})[0]["verdict"] == "supported"


def test_every_claim_of_a_paper_that_nothing_was_trained_of_is_not_run():
    paper, nothing = read_paper("skipinit"), measured({})
    for claim in paper.claims:
        assert outcome_of(paper, claim, nothing).rule == "not run"


def test_the_file_is_the_same_each_time_it_is_written(tmp_path):
    root = write_line(tmp_path / "tiny", papers=["norm_matters", "skipinit"])
    written = []
    for _ in range(2):
        assert run_main(main, root) == 0
        written.append((root / "claims.csv").read_bytes())
    assert written[0] == written[1]
    rows = list(csv.DictReader(written[0].decode().splitlines()))
    assert [row["claim"] for row in rows] == [c.id for key in ("norm_matters", "skipinit") for c in read_paper(key).claims]
