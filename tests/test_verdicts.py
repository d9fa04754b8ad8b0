"""Verdicts hold over all claims of a paper, and their sentences hold the numbers."""

import math
import subprocess
import sys

import numpy as np
import pytest
from verdict_samples import SPREAD, TESTS, around, sample, series, verdict

from normbench.claims.decision import all_of
from normbench.claims.outcomes import Outcome, not_run
from normbench.claims.verdicts import decide


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """statsmodels collects garbage in each Holm adjustment: 0.1 s that thousands of draws would pay."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


def p_outcome(support, contradict, **rest):
    return Outcome(n=3, p_support=support, p_contradict=contradict, says=rest.pop("says", "x"), **rest)


def ruled(rule, **rest):
    return Outcome(n=3, rule=rule, says=rest.pop("says", "y"), **rest)


def test_holm_adjusts_over_the_tested_claims_of_a_paper():
    """0.02 two-sided holds alone, and not beside three others that show nothing."""
    alone, others = p_outcome(0.01, 0.99), {str(k): p_outcome(0.4, 0.6) for k in range(3)}
    assert decide({"a": alone})["a"].verdict == "supported"
    assert decide({"a": alone, **others})["a"].verdict == "inconclusive"
    assert "adjusted p 0.080" in decide({"a": alone, **others})["a"].because
    assert decide({"a": alone, **{k: ruled("supported") for k in others}})["a"].verdict == "supported"
    assert decide({"a": alone, **others}, questions=set(others))["a"].verdict == "supported"


def test_of_one_sided_ps_the_doubled_smaller_one_counts():
    assert verdict(p_outcome(0.024, 0.976)) == "supported"
    assert verdict(p_outcome(0.026, 0.974)) == "inconclusive"
    assert verdict(p_outcome(0.976, 0.024)) == "contradicted"
    assert verdict(p_outcome(0.974, 0.026)) == "inconclusive"


def test_under_the_null_a_paper_gets_any_verdict_in_at_most_one_of_twenty():
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(4000):
        found = decide({str(k): p_outcome(u, 1 - u) for k, u in enumerate(rng.uniform(size=6))})
        wrong += any(v.verdict != "inconclusive" for v in found.values())
    assert wrong / 4000 == pytest.approx(0.05, abs=0.008)


@pytest.mark.slow
def test_under_the_null_real_seeds_give_any_verdict_in_at_most_one_of_twenty():
    """Up to two standard errors of this many draws; without Holm it would be one in seven."""
    rng, draws, wrong = np.random.default_rng(1), 800, 0
    for _ in range(draws):
        pairs = [(sample("a", rng.normal(90, 0.5, 4)), sample("b", rng.normal(90, 0.5, 4))) for _ in range(3)]
        found = decide({str(k): TESTS["better"](a, b) for k, (a, b) in enumerate(pairs)})
        wrong += any(v.verdict != "inconclusive" for v in found.values())
    assert 0.01 < wrong / draws <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)


def test_questions_are_answered_with_the_numbers_of_their_test():
    found = decide({"q": TESTS["better"](around(91, "long"), around(88, "short"))}, questions=["q"])["q"]
    assert found.verdict == "answered"
    assert "long 91.0% against short 88.0%: difference +3.0 points" in found.because
    assert "better (p < 0.001)" in found.because
    assert decide({"q": not_run("needs task coco")}, questions=["q"])["q"].verdict == "not run"


PARTS = [
    ([p_outcome(0.001, 0.9), p_outcome(0.002, 0.9)], "supported"),
    ([p_outcome(0.001, 0.9), p_outcome(0.5, 0.5)], "inconclusive"),
    ([p_outcome(0.001, 0.9), p_outcome(0.99, 0.001)], "contradicted"),
    ([p_outcome(0.4, 0.9), p_outcome(0.9, 0.02)], "inconclusive"),  # 2 parts: 0.02 becomes 0.04, two-sided 0.08
    ([p_outcome(0.001, 0.9), ruled("supported")], "supported"),
    ([p_outcome(0.001, 0.9), ruled("contradicted")], "contradicted"),
    ([p_outcome(0.001, 0.9), ruled("inconclusive")], "inconclusive"),
    ([p_outcome(0.9, 0.001), ruled("inconclusive")], "contradicted"),
    ([ruled("supported"), ruled("supported")], "supported"),
    ([ruled("supported"), ruled("inconclusive")], "inconclusive"),
    ([ruled("inconclusive"), ruled("contradicted")], "contradicted"),
    ([ruled("answered"), p_outcome(0.001, 0.9)], "supported"),
    ([ruled("answered"), ruled("answered")], "answered"),
    ([ruled("supported"), ruled("not run")], "not run"),
]


@pytest.mark.parametrize(("parts", "wanted"), PARTS)
def test_a_claim_of_parts_holds_if_all_hold_and_fails_if_one_fails(parts, wanted):
    assert verdict(all_of(parts)) == wanted
    assert verdict(all_of(parts[::-1])) == wanted


def test_a_claim_of_parts_has_the_numbers_of_its_weakest_part_and_the_words_of_all():
    strong, weak = p_outcome(0.001, 0.9, effect=9.0, says="one"), p_outcome(0.02, 0.9, effect=1.0, margin=0.5, says="two")
    whole = all_of([strong, weak])
    assert (whole.effect, whole.margin, whole.p_support, whole.says) == (1.0, 0.5, 0.02, "one; two")
    assert all_of([weak]) is weak
    assert all_of([all_of([strong, weak]), strong]).parts == (strong, weak, strong)
    assert "all parts hold" in decide({"c": whole})["c"].because


SENTENCES = [
    (
        TESTS["not_worse"](around(91.3, "RescaleNet", metric="test_top1"), around(90.9, "batch norm", metric="test_top1"), 1.0),
        "RescaleNet 91.3% test top1 against batch norm 90.9%: difference +0.4 points (95% -0.2 to 1.0, n 3+3), "
        "not worse by more than 1 point (adjusted p 0.003); 3 seeds could have shown 0.9 points; measured at the quick tier.",
    ),
    (
        TESTS["better"](
            around(0.52, "a", 0.1, unit="nats", direction="lower"), around(0.4, "b", 0.1, unit="nats", direction="lower"), 0.01
        ),
        "a 0.52 nats against b 0.40 nats, lower is better: advantage -0.12 nats (95% -0.18 to -0.06, n 3+3), "
        "not better by 0.01 nats (adjusted p 0.004); 3 seeds could have shown 0.09 nats; measured at the quick tier.",
    ),
    (
        TESTS["better"](sample("a", [60, 61, 62]), sample("b", [10, 10, 55, 58], diverged=(0, 1))),
        "a 61.0% against b 33.2% (2 of 4 seeds diverged): difference +27.8 points (95% -15.0 to 70.5, n 3+4), "
        "which is better stays open (adjusted p 0.13)",
    ),
    (
        TESTS["untrainable"](sample("plain", [10, 12, 10], diverged=(0,)), 10.0),
        "plain 10.7% (1 of 3 seeds diverged): 0 of 3 seeds ended at least 10 points beyond the 10.0% of chance "
        "(95% 0% to 71% of all seeds), it does not train; 3 seeds could have shown a success rate of 63%; measured at the quick tier.",
    ),
    (
        TESTS["constant"](series([[1, 1.5, 1, 1]] * 2), 2.0),
        "variance: largest over smallest 1.50 over 4 places from 1 to 8 (every seed alike, n 2), constant within a factor of 2; "
        "measured at the quick tier.",
    ),
    (
        TESTS["monotone"]([around(80, "none"), around(79, "scalar"), around(84, "vector")], margin=5.0),
        "none 80.00%, scalar 79.00% and vector 84.00%: rank correlation with their order +0.29 (95% -0.32 to 0.73, n 3+3+3), "
        "largest step back 1.00 points from none to scalar, whether they improve in this order stays open (adjusted p 0.40)",
    ),
    (
        TESTS["reproduces"](around(91), 91.2, 1.0, "gpu"),
        "a reported number can only be reproduced at the paper tier, and this is the gpu tier.",
    ),
    (
        TESTS["figure"]({"a": around(91, "BN"), "b": sample("GN", [90, 10], diverged=(1,))}),
        "BN 91.00% (n 3, sd 0.26); GN 50.0% (n 2, sd 56.6, 1 diverged)",
    ),
    (
        TESTS["figure"]({"a": series([[1, 2, 3, 400]], label="scale")}),
        "scale 1.00 at 1 and 400 at 8 (lowest 1.00, highest 400, n 1)",
    ),
    (TESTS["equal"](series([[1, 1, 1, 1]]), series([[1, 1, 1, 1 + 2e-9]]), 1e-6), "differ by at most 2e-09 of their size"),
]


@pytest.mark.parametrize(("outcome", "wanted"), SENTENCES, ids=range(len(SENTENCES)))
def test_sentence(outcome, wanted):
    because = decide({"c": outcome}, tier="quick")["c"].because
    assert wanted in because
    assert because.endswith(".")
    assert "nan" not in because


def test_rounding_never_puts_an_interval_on_the_wrong_side_of_a_margin():
    """A lower end of -0.98 is no -1.0 where the margin is 1."""
    gaps = np.array(SPREAD)
    for shift in np.linspace(-0.6, -0.2, 41):
        found = TESTS["not_worse"](sample("a", 90 + shift + gaps), sample("b", 90 + gaps), 1.0)
        shown = float(decide({"c": found})["c"].because.split("(95% ")[1].split(" to")[0])
        assert (shown < -1.0, shown > -1.0) == (found.low < -1.0, found.low > -1.0)


def test_values_keep_their_digits_where_they_do_not_differ():
    rates = [sample(name, [0.05, 0.05, 0.05], unit="", chance=None, metric="learning_rate") for name in ("a", "b")]
    assert TESTS["better"](*rates).says.startswith("a 0.0500 learning rate against b 0.0500: difference 0 ")


def test_the_same_input_gives_the_same_text():
    def text():
        levels = [around(80), around(80.4), around(80.5)]
        return decide({"m": TESTS["monotone"](levels), "b": TESTS["better"](levels[1], levels[0])}, tier="quick")

    assert text() == text()


def test_verdicts_need_no_torch():
    code = "import sys, normbench.claims.verdicts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
