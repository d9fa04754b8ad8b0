"""Predictions from untrained networks: the rule never sees the method that it judges, and what `snakemake predict` prints is what is so."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from facts import mistake
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from synthetic_build import make_build

from normbench.analysis import prediction
from normbench.analysis.prediction import arms, judged, properties, read_prediction
from normbench.analysis.prediction_score import _spearman, score
from normbench.analysis.results import Measured
from normbench.core.schema import ROOT
from normbench.diagnostics import predict, untrained
from normbench.execution.columns import RUNS
from normbench.execution.tables import table_of, write_table
from normbench.hooks.methods import METHODS
from normbench.reporting import figures, report
from normbench.reporting.summary import read_claims

MODEL = '{"depth":10,"family":"plain_cnn"}'
TASK = "propagation"


def planted(methods=8, each=6, trained=lambda method, i: i % 2 == 0, told=None, seeds=2) -> pd.DataFrame:
    """Rows of runs.parquet. told(method, i, trained): an arm's properties; by default its variance ratio tells whether it trains."""
    rng = np.random.default_rng(0)
    told = told or (lambda method, i, ok: {"variance_ratio": 1.0 if ok else 1e6})
    rows = []
    for method in range(methods):
        for i in range(each):
            ok = trained(method, i)
            for seed in range(seeds):
                arm = f"arm-m{method}-{i}"
                run = {"run": f"{arm}-s{seed}", "arm": arm, "task": "imagenet", "dataset": "digits", "model": MODEL}
                run |= {"method": f"m{method}", "seed": seed, "status": "finished" if ok else "diverged"}
                after = {"test_top1": 90.0, "mean_train_top1": 60 + 5 * rng.random()} if ok else {}
                values = {**told(method, i, ok), "dead_fraction_init": 0.1 * rng.random(), **after}
                rows += [{**run, "metric": metric, "value": value} for metric, value in values.items()]
    return pd.DataFrame(rows)


def test_an_arm_is_the_mean_of_its_seeds_and_trained_where_most_did():
    runs = planted(methods=1, each=2, seeds=3, told=lambda method, i, ok: {"variance_ratio": 100.0})
    lost = runs.run == "arm-m0-0-s0"
    runs.loc[lost & (runs.metric == "test_top1"), "value"] = 15.0  # not ten points above guessing
    runs.loc[runs.run == "arm-m0-0-s1", "status"] = "diverged"
    table = arms(runs).set_index("arm")
    assert not table.trained["arm-m0-0"] and not table.trained["arm-m0-1"]
    assert table.speed["arm-m0-1"] == 10.0 and 40 < table.speed["arm-m0-0"] < 50  # guessing counts for what diverged
    assert table.log10_variance_ratio["arm-m0-0"] == pytest.approx(2) and table.seeds["arm-m0-0"] == 3
    assert table.model["arm-m0-0"] == "plain_cnn10"


def test_which_tasks_are_asked_and_by_which_metrics_stands_in_their_files(monkeypatch):
    runs = planted(methods=1, each=2)
    clips = runs.assign(task="kinetics", dataset="motions", arm="z" + runs.arm, run="z" + runs.run)
    both = pd.concat([clips, runs], ignore_index=True)
    assert list(arms(both).arm) == list(arms(runs).arm) == ["arm-m0-0", "arm-m0-1"]
    images = prediction.predictors()["imagenet"]
    clipped = images.model_copy(update={"accuracy": "mean_train_top1", "speed": "test_top1"})
    monkeypatch.setattr(prediction, "predictors", lambda: {"imagenet": images, "kinetics": clipped})
    table = arms(both).set_index("arm")
    assert list(table.index) == ["arm-m0-0", "arm-m0-1", "zarm-m0-0", "zarm-m0-1"]
    assert list(table.speed[["zarm-m0-0", "zarm-m0-1"]]) == [90.0, 12.5] and table.speed["arm-m0-0"] < 70  # guessing: one of eight motions


def test_a_property_that_decides_is_found_for_methods_never_seen():
    found = score(judged(arms(planted())))
    assert found.balanced == 1 and found.confusion == {(True, True): 24, (True, False): 0, (False, True): 0, (False, False): 24}
    assert found.interval == (1, 1) and found.base == 0.5
    assert "tell something about methods that the rule has never seen" in found.says[1]
    rank = next(r for r in found.ranks if r.name == "log10_variance_ratio")
    assert rank.n == 48 and rank.rho < -0.8 and rank.interval[1] < 0


def test_chance_is_called_chance():
    rng = np.random.default_rng(1)
    runs = planted(
        methods=20,
        trained=lambda method, i: bool(rng.random() < 0.5),
        told=lambda method, i, ok: {name: 10 ** rng.normal() for name in ("variance_ratio", "gradient_ratio", "first_layer_gradient_norm")},
    )
    found = score(judged(arms(runs)))
    assert 0.35 < found.balanced < 0.65 and found.interval[0] <= 0.5
    assert "do not predict whether an unseen method trains" in found.says[1]


def test_a_method_against_the_rule_is_judged_by_a_rule_without_it():
    def against(method, i, ok):
        return {"variance_ratio": 1.0 if ok != (method == 0) else 1e6}

    table = judged(arms(planted(told=against)))
    assert (table[table.method == "m0"].predicted != table[table.method == "m0"].trained).all()
    # a rule that was fitted on them would know better: only they have this property
    runs = planted(
        told=lambda method, i, ok: {"variance_ratio": 1.0 if ok != (method == 0) else 1e6, "gradient_ratio": 2.0 + (method == 0)}
    )
    table = judged(arms(runs))
    assert (table[table.method == "m0"].predicted != table[table.method == "m0"].trained).all()


def test_other_methods_rules_do_not_hang_on_the_outcome_of_the_one_held_out():
    one, other = (judged(arms(planted(trained=lambda m, i, flip=flip: (i % 2 == 0) != (flip and m == 3)))) for flip in (False, True))
    mine = one.method == "m3"
    by_value = [t[mine].groupby("log10_variance_ratio").probability.first().to_dict() for t in (one, other)]
    assert by_value[0] == by_value[1]


def test_one_outcome_or_few_arms_is_a_sentence():
    found = score(judged(arms(planted(trained=lambda method, i: True))))
    assert found.says == ("No rule can be fitted: all 48 arms with measurements before training trained.",)
    found = score(judged(arms(planted(methods=2, each=3))))
    assert found.arms == 0 and found.says[0].startswith("No rule can be fitted: 6 arms of 2 methods") and "at least 10" in found.says[0]
    assert score(judged(arms(planted().query("task == 'nowhere'")))).arms == 0


def test_missing_properties_are_left_out_and_never_invented():
    def told(method, i, ok):
        return {"variance_ratio": 1.0 if ok else 1e6, "first_layer_gradient_norm": 0.0} | ({} if i < 2 else {"gradient_ratio": 1.0})

    table = judged(arms(planted(told=told)))
    assert table.log10_first_layer_gradient_norm.isna().all()  # a zero has no logarithm
    assert table.log10_gradient_ratio.isna().sum() == 16 and score(table).balanced == 1
    ranks = {r.name: r for r in score(table).ranks}
    assert ranks["log10_first_layer_gradient_norm"].n == 0 and ranks["log10_gradient_ratio"].rho is None
    nothing = planted()
    nothing = nothing[~nothing.metric.isin(properties().values())]
    assert score(judged(arms(nothing))).says[0].startswith("No rule can be fitted: 0 arms")


def test_the_order_of_rows_does_not_matter_and_equal_runs_give_equal_bytes(tmp_path, monkeypatch):
    runs, written = planted(), []
    for name, rows in (("one", runs), ("two", runs.sample(frac=1, random_state=3))):
        (tmp_path / name).mkdir()
        write_table(table_of(rows.to_dict("records"), RUNS), tmp_path / name, RUNS)
        output = tmp_path / name / "prediction.csv"
        monkeypatch.setattr(sys, "argv", ["prediction", "--root", str(tmp_path / name), "--output", str(output)])
        assert prediction.main() == 0
        written.append(output.read_bytes())
    assert written[0] == written[1]
    table = read_prediction(tmp_path / "one" / "prediction.csv")
    assert score(table) == score(table) and list(table.columns) == prediction.columns() and score(table).balanced == 1


@pytest.mark.slow
def test_the_page_has_the_section_with_its_numbers_and_names_the_misses(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "paper_figures", lambda *args: ())
    root = make_build(tmp_path, "quick", ("rescalenet",))
    table = judged(arms(planted(told=lambda method, i, ok: {"variance_ratio": 1.0 if ok != (method == 0) else 1e6})))
    table.to_csv(root / "prediction.csv", index=False)
    figures.write_figures(Measured.read(root), read_claims(root / "claims.csv"), root / "figures", read_prediction(root / "prediction.csv"))
    assert (root / "figures" / "prediction-speed.png").is_file()
    page = report.render(root)
    part = page[page.index('<section id="prediction"') : page.index('<section id="coverage"')]
    assert "Do untrained networks tell?" in part
    drawn = (root / "figures" / "prediction-speed.svg").read_text(encoding="utf-8")
    assert "m0, plain_cnn10" in drawn and "m1, plain_cnn10" not in drawn
    for sentence in score(table).says:
        assert sentence.replace("'", "&#39;") in part
    (root / "prediction.csv").unlink()
    figures.write_figures(Measured.read(root), read_claims(root / "claims.csv"), root / "figures")
    assert '<section id="prediction"' not in report.render(root)


def test_fitting_needs_no_torch():
    code = "import sys; import normbench.analysis.prediction, normbench.analysis.prediction_score; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def shallow(monkeypatch):
    """One residual network, two seeds: quick, and enough to tell."""
    monkeypatch.setattr(untrained, "NETWORKS", untrained.NETWORKS[:1])
    monkeypatch.setattr(untrained, "SEEDS", (0, 1))


def said(name, folder=METHODS):
    _, findings = untrained.find(name, TASK, folder)
    return findings, " ".join(predict.sentences(name, findings))


def write_method(folder, factor):
    """planted.py: layer norm's file with a norm that multiplies by `factor`, any expression in x."""
    source = (METHODS / "layer_norm.py").read_text(encoding="utf-8")
    module = f"class Times(nn.Module):\n    def forward(self, x):\n        return x * {factor}\n\n\n"
    source = source.replace("def norm(site, p):\n", f"{module}def norm(site, p):\n    return Times()\n\n\ndef unused(site, p):\n")
    source = source.replace("from dataclasses", "from torch import nn\nfrom dataclasses", 1)
    (folder / "planted.py").write_text(source.replace("def unused", "def _unused"), encoding="utf-8")


def test_a_method_that_explodes_is_a_result(tmp_path, shallow):
    write_method(tmp_path, "1e8")
    (finding,), text = said("planted", tmp_path)
    assert finding.values["explodes"] == np.inf and not finding.trains
    assert "residual 18: the signal explodes at block" in text and "of 8." in text
    assert "should train in residual networks at no depth tried: it fails at 18 (explodes" in text


def test_a_method_that_raises_is_one_sentence(tmp_path, shallow):
    write_method(tmp_path, "x[:, :, :, 99]")
    with mistake(tmp_path / "planted.py", "IndexError", "residual 18"):
        untrained.find("planted", TASK, tmp_path)


def test_a_hundred_blocks_without_normalization_explode_and_with_it_do_not(monkeypatch):
    monkeypatch.setattr(untrained, "NETWORKS", untrained.NETWORKS[2:3])
    monkeypatch.setattr(untrained, "SEEDS", (0,))
    (finding,), text = said("none")
    assert finding.values["explodes"] > 1e15 and "at no depth tried: it fails at 202 (explodes" in text
    assert said("skipinit")[1].startswith("skipinit should train in residual networks up to 202 layers, the deepest tried.")


@pytest.mark.parametrize(("name", "depends"), [("batch_norm", True), ("layer_norm", False)])
def test_dependence_on_the_batch(name, depends, shallow):
    (finding,), _ = said(name)
    assert untrained.MODES["depends on batch size"].holds(finding.values["depends on batch size"]) == depends and finding.trains


def test_the_command_prints_verdicts_thresholds_and_refusals(monkeypatch, capsys):
    monkeypatch.setattr(untrained, "NETWORKS", (untrained.NETWORKS[0], untrained.NETWORKS[3]))
    monkeypatch.setattr(predict, "NETWORKS", untrained.NETWORKS)
    monkeypatch.setattr(untrained, "SEEDS", (0,))
    monkeypatch.setattr(sys, "argv", ["predict", "--task", TASK, "--methods", "fixup"])
    assert predict.main() == 0
    out = capsys.readouterr().out
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    for name, mode in untrained.MODES.items():
        assert f"{mode.quantity} {'≥' if mode.above else '≤'} {mode.bound:g}" in lines[name] and "refuses" in lines[name]
    assert "plain 10: refused. methods/fixup.py cannot stand" in out and "classifier starts at zero" in out
    assert "\x1b" not in out


def test_a_misspelt_method_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["predict", "--task", TASK, "--methods", "layer_norm", "btch_norm"])
    assert predict.main() == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: methods/: 'btch_norm' is no method; did you mean 'batch_norm'?") and not captured.out
    assert captured.err.count("\n") == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([-1e300, -2.0, 0.0, 0.5, 1e-9, 3.0]), st.floats(-100, 100, allow_subnormal=False)),
        min_size=3,
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
def test_rank_correlations_of_draws_are_scipys(pairs, random):
    x, y = (np.array(values) for values in zip(*pairs, strict=True))
    correlation = _spearman(x, y)
    for _ in range(3):
        rows = np.array([random.randrange(len(x)) for _ in x])
        if len(set(x[rows])) == 1 or len(set(y[rows])) == 1:
            assert np.isnan(correlation(rows))
        else:
            assert correlation(rows) == pytest.approx(spearmanr(x[rows], y[rows]).statistic, abs=1e-12)
