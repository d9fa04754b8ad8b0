"""A kind of test knows its operands and metrics, what its seeds can detect, and what is wrong with its fields."""

import subprocess
import sys

import pytest
from claim_examples import EXAMPLES, read
from facts import mistake
from verdict_samples import Given, around, found

from normbench.claims.kinds import KINDS, Better, Untrainable
from normbench.core.schema import ROOT


def test_every_kind_has_an_example():
    assert {kind.model_fields["test"].default for kind in KINDS} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_kind_knows_its_arms_and_metrics(name):
    fields, arms, metrics = EXAMPLES[name]
    test = read(test=name, **fields)
    assert [operand.arm for operand in test.operands()] == arms
    assert test.metrics("top1") == metrics
    assert (None in test.metrics(None)) == ("top1" in metrics)


def test_a_control_is_read_but_the_test_is_not_about_it():
    test = Untrainable(arm="x", control="y", margin=10)
    assert ([o.arm for o in test.operands()], [o.arm for o in test.about()]) == (["x", "y"], ["x"])
    assert [o.arm for o in Better(a="x", b="y").about()] == ["x", "y"]


# fields of a test, what the sentence has to hold
MISTAKES = [
    ({"test": "bettter", "a": "x", "b": "y"}, ["here: test.test:", "'bettter'", "'better'", "trainable, untrainable, within"]),
    ({"a": "x", "b": "y"}, ["here", "'test.test'", "missing"]),
    ({"test": "better", "a": "x"}, ["here", "'test.b'", "missing"]),
    ({"test": "better", "a": "x", "b": "y", "margn": 1}, ["'margn'", "better", "a, b, by, metric, paired, test"]),
    ({"test": "better", "a": {"arm": "x", "takes": "best"}, "b": "y"}, ["test.a:", "'takes'", "'take'", "arm, at, take"]),
    ({"test": "better", "a": 3, "b": "y"}, ["test.a:", "the name of an arm", "got 3"]),
    ({"test": "within", "a": "x", "b": "y", "margin": "wide"}, ["test.margin:", "number", "got 'wide'"]),
    ({"test": "within", "a": "x", "b": "y", "margin": -1}, ["test.margin:", "got -1"]),
    ({"test": "constant", "arm": "x", "quantity": "q", "ratio": 1}, ["test.ratio:", "greater than 1", "got 1"]),
    ({"test": "growth", "arm": "x", "quantity": "q", "exponent": 1}, ["here: test:", "'tolerance'", "form: exponential"]),
    ({"test": "growth", "arm": "x", "quantity": "q", "form": "exponential", "tolerance": 1}, ["'tolerance'", "exponential"]),
    ({"test": "growth", "arm": "x", "quantity": "q", "form": "exponentail"}, ["test.form:", "'exponential'", "got 'exponentail'"]),
    ({"test": "growth", "arm": "x", "exponent": 1, "tolerance": 1}, ["'quantity'", "'along'"]),
    ({"test": "monotone", "arms": ["x", "y"], "direction": "raising"}, ["test.direction:", "'rising'", "got 'raising'"]),
    ({"test": "monotone", "arms": ["x"], "direction": "rising"}, ["two", "'arms'"]),
    ({"test": "monotone", "direction": "rising"}, ["one of", "'arm'", "'arms'"]),
    ({"test": "monotone", "arm": "x", "direction": "rising"}, ["'quantity'", "'along'"]),
    ({"test": "monotone", "arms": ["x", "y"], "along": "lr", "direction": "rising"}, ["'quantity'", "'along'", "one 'arm'"]),
    ({"test": "correlated", "x": "p", "y": "q", "sign": "plus", "arms": ["x"]}, ["test.sign:", "'negative'", "got 'plus'"]),
    ({"test": "correlated", "x": "p", "y": "q", "sign": "positive", "at_least": 1, "arms": ["x"]}, ["test.at_least:", "less than 1"]),
    ({"test": "figure", "arms": []}, ["test.arms:", "at least 1"]),
]  # fmt: skip


@pytest.mark.parametrize("fields, holds", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_one_sentence_with_key_value_and_advice(fields, holds):
    with mistake(*holds):
        read(**fields)


def test_pairs_are_checked_and_a_metric_of_the_test_goes_before_the_claims():
    reader = Given(x=around(91), y=around(88))
    Better(a="x", b="y", metric="the_metric", paired=True).outcome(reader, "another")
    assert reader.paired == ("x", "y")
    Better(a="y", b="x").outcome(reader := Given(x=around(91), y=around(88)), "the_metric")
    assert not hasattr(reader, "paired")


@pytest.mark.parametrize(
    ("name", "words"),
    [("better", "3.5 sd"), ("trainable", "63% of seeds failing"), ("untrainable", "63% of seeds training"), ("growth", "")],
)
def test_what_seeds_could_show_is_said_before_they_run(name, words):
    assert read(test=name, **EXAMPLES[name][0]).detectable(3) == words


def test_one_seed_detects_no_difference():
    assert "one seed" in Better(a="x", b="y").detectable(1)


def test_numbers_at_other_scales_are_not_reproduced():
    test = read(test="reproduces", **EXAMPLES["reproduces"][0])
    assert found(test, x=around(91), number=91.2, tier="paper").rule is None
    assert found(test, x=around(91), number=91.2, tier="gpu").rule == "not run"


def test_papers_are_read_without_numpy_and_scipy():
    code = (
        "import sys, normbench.config.papers as p; p.read_paper('skipinit'); print(*{'numpy', 'scipy', 'pandas', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
