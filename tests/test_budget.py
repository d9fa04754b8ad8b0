"""What claims cost, which come first, what a budget pays for, and what `snakemake plan` says of it."""

import subprocess
import sys

import pandas as pd
import pytest
from facts import mistake
from hypothesis import given
from hypothesis import strategies as st

from normbench.config.papers import paper_keys, read_paper
from normbench.config.spec import ArmSpec
from normbench.config.tasks import read_task
from normbench.config.tiers import read_tier
from normbench.core.schema import ROOT
from normbench.planning.budget import affordable, arms_of_claim, cheapest_first, corrected, gpu_hours, measured_seconds
from normbench.planning.make import make_plan
from normbench.planning.pipeline import open_pipeline
from normbench.planning.plan import Plan
from normbench.planning.plan_report import alone

HOURS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 0.5}
WANTED = {("p", "wide"): {"b", "c"}, ("p", "narrow"): {"a", "b"}, ("q", "cheap"): {"a"}}


def test_the_cheapest_claim_is_first_and_shared_arms_are_paid_once():
    assert cheapest_first(WANTED, HOURS) == [(("q", "cheap"), 1.0), (("p", "narrow"), 2.0), (("p", "wide"), 4.0)]


@pytest.mark.parametrize(
    "budget, arms",
    [
        (0.4, set()),
        (0.9, {"d"}),
        (1.2, {"a"}),
        (3.0, {"a", "b"}),
        (3.5, {"a", "b", "d"}),
        (7.4, {"a", "b", "c"}),
        (9, {"a", "b", "c", "d"}),
    ],
)
def test_a_budget_pays_for_whole_claims_and_then_for_single_arms(budget, arms):
    assert affordable(WANTED, HOURS, budget) == arms


ARMS = st.sampled_from("abcdefgh")


@given(
    hours=st.dictionaries(ARMS, st.floats(0.01, 9)),
    wanted=st.dictionaries(st.tuples(st.just("p"), ARMS), st.sets(ARMS)),
    budget=st.floats(0.01, 40),
)
def test_a_budget_is_never_passed_and_more_of_it_never_pays_for_fewer_claims(hours, wanted, budget):
    def claims(arms):
        return sum(needs & hours.keys() <= arms for needs in wanted.values())

    paid = affordable(wanted, hours, budget)
    assert sum(hours[arm] for arm in paid) <= budget + 1e-9
    assert claims(paid) <= claims(affordable(wanted, hours, 2 * budget))


def test_what_was_measured_wins_and_corrects_its_tasks_other_arms():
    expected, tasks = {"a": 10.0, "b": 20.0, "c": 40.0}, {"a": "images", "b": "images", "c": "text"}
    assert corrected(expected, {"a": 15.0, "z": 7.0}, tasks) == {"a": 15.0, "b": 30.0, "c": 40.0}


def test_a_run_counts_once_whatever_its_metrics(tmp_path):
    assert measured_seconds(tmp_path) == {}
    rows = [("a-s0", "a", "finished", 4.0)] * 3 + [("a-s1", "a", "finished", 8.0), ("b-s0", "b", "diverged", 1.0)]
    pd.DataFrame(rows, columns=["run", "arm", "status", "seconds"]).to_parquet(tmp_path / "runs.parquet")
    assert measured_seconds(tmp_path) == {"a": 6.0}


def test_gpu_hours_count_every_gpu_and_every_run():
    assert gpu_hours({"a": 1800.0}, {"a": 8}, {"a": 3}, ["a"]) == {"a": 12.0}


def test_a_claim_needs_its_arms_and_those_whose_norms_they_use():
    plan, paper = make_plan("quick"), read_paper("norm_matters")
    sources = {arm: spec.source for arm, spec in plan.arms.items()}
    (claim,) = [c for c in paper.claims if c.id == "wd-is-lr"]
    found = arms_of_claim(plan, "norm_matters", claim)
    assert any(sources[arm] for arm in found) and all(sources[arm] in {None, *found} for arm in found)


def test_every_arm_of_the_paper_tier_resolves():
    plan = make_plan("paper")
    for key in paper_keys():
        named = {
            o.arm
            for claim in read_paper(key).claims
            if claim.task in ("imagenet", "propagation")
            for t in claim.tests
            for o in t.operands()
        }
        assert named <= {arm for paper, arm in plan.points if paper == key}
    assert all(plan.gpus(arm) >= 1 and plan.seconds(arm) > 0 for arm in plan.arms)


def test_a_budget_leaves_whole_claims_in_the_line(tmp_path):
    config = {"tier": "paper", "build": str(tmp_path), "papers": "norm_matters", "budget_gpu_hours": 1}
    line = open_pipeline(config)
    chosen = {arm for arms in line.jobs.values() for arm in arms}
    hours = sum(line.plan.seconds(arm) * line.plan.gpus(arm) / 3600 for arm in chosen)
    assert 0.3 < hours <= 1 and len(chosen) < len(line.plan.selected)
    assert all(line.plan.arms[arm].source in {None, *chosen} for arm in chosen)
    assert set(line.shown.arms) == chosen and not list(tmp_path.iterdir())  # planning writes nothing


@pytest.mark.parametrize(
    "tier, value, facts",
    [
        ("paper", "much", ["'much'", "hours", "above 0"]),
        ("paper", -1, ["-1", "hours", "above 0"]),
        ("quick", 3, ["tier quick", "CPU", "gpu and paper"]),
    ],
)
def test_a_budget_that_is_none(tier, value, facts, tmp_path):
    with mistake("budget_gpu_hours", *facts):
        open_pipeline({"tier": tier, "build": str(tmp_path), "budget_gpu_hours": value})


def test_the_plan_says_why_a_run_takes_one_gpu():
    arms = {name: ArmSpec(name, name, {}, "none", {}, {}) for name in ("coco", "imagenet")}
    assert alone(Plan(read_tier("paper"), {}, [], arms)) == [("coco coco", read_task("coco").resources["coco"].alone)]
    assert "one process" in read_task("coco").resources["coco"].alone


@pytest.mark.slow
def test_the_plan_names_hours_by_paper_and_claim_the_cheapest_first(tmp_path):
    words = ["plan", "--cores", "1", "--config", "tier=paper", "papers=skipinit", f"build={tmp_path}"]
    done = subprocess.run([sys.executable, "-m", "snakemake", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "GPU-hours for all claims" in done.stdout and "multiply-adds a second" in done.stdout
    budgets = [float(line.split("=")[1].split()[0]) for line in done.stdout.splitlines() if line.startswith("--config budget_gpu_hours=")]
    assert budgets == sorted(budgets) and len(budgets) > 10
