"""Figures: every table, test, sweep and training has its files, marks stand where the numbers are, equal results give equal bytes."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_build import make_build

from normbench.analysis.results import Measured
from normbench.claims.operands import Operand
from normbench.claims.outcomes import Series
from normbench.config.papers import read_paper
from normbench.config.tasks import Metric
from normbench.core.files import read_json
from normbench.reporting import figures
from normbench.reporting.plots import ledger_figure, marks, series_figure, style, sweep_figure, table_figure, training_figure
from normbench.reporting.summary import read_claims
from normbench.reporting.tables import shaped_table

pytestmark = pytest.mark.slow

KEY = "rescalenet"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A quick tier of one paper, with its figures."""
    folder = make_build(tmp_path_factory.mktemp("build"), "quick", (KEY,))
    _draw(folder)
    return folder


@pytest.fixture(scope="module")
def measured(root) -> Measured:
    return Measured.read(root)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Measured:
    """A tier that has all tables and the sweeps."""
    return Measured.read(make_build(tmp_path_factory.mktemp("full"), "paper", (KEY, "skipinit")))


def _draw(folder: Path) -> None:
    figures.write_figures(Measured.read(folder), read_claims(folder / "claims.csv"), folder / "figures")


def _shaped(measured: Measured, table: str):
    paper = read_paper(KEY)
    return shaped_table(paper, next(t for t in paper.tables if t.id == table), measured)


@pytest.mark.slow
def test_every_measured_table_and_series_has_its_files(root, measured):
    paper, folder = read_paper(KEY), root / "figures" / KEY
    tables = {t.id for t in paper.tables if t.start == "quick"}
    expected = {"ledger"} | tables | {f"training-{id_}" for id_ in tables}
    expected |= {"claim-multipliers-after-training-join_parameter_mean", "claim-multipliers-after-training-join_parameter_max"}
    expected |= {f"claim-{id_}" for id_ in ("multiplier-explodes", "variance-constant", "equal-contribution", "equal-step", "uncorrelated")}
    expected |= {"claim-first-batch-mean-calibration_error", "claim-first-batch-mean-dead_fraction_init"}
    expected |= {f"sweep-{arm}" for arm in paper.arms if arm.startswith("signal_")}
    assert {p.name for p in folder.iterdir()} == {f"{name}.{suffix}" for name in expected for suffix in ("svg", "png")}
    assert all(p.stat().st_size > 2000 for p in folder.iterdir())
    entries = read_json(root / "figures" / "figures.json")
    assert {entry["name"] for entry in entries} == expected
    assert all(entry["says"] and entry["title"] for entry in entries)


@pytest.mark.slow
def test_bytes_are_equal_over_two_runs_and_stale_figures_go(root):
    files = [p for p in sorted((root / "figures").rglob("*")) if p.is_file()]
    first = {p: p.read_bytes() for p in files}
    (root / "figures" / KEY / "stale.svg").write_text("left by another run")
    _draw(root)
    assert {p: p.read_bytes() for p in sorted((root / "figures").rglob("*")) if p.is_file()} == first
    assert not any(b"<dc:date>" in data for path, data in first.items() if path.suffix == ".svg")


def test_the_mean_of_a_cell_is_drawn_at_its_number(measured):
    shaped = _shaped(measured, "imagenet")
    ax = table_figure.table_figure(shaped, measured).figure.axes[0]
    first = next(iter(shaped.rows))
    cell = shaped.cells[first, "top1"]
    at_row = [line for line in ax.lines if np.ndim(line.get_ydata()) and list(line.get_ydata()) == [0]]
    assert [list(line.get_xdata()) for line in at_row if line.get_marker() == "o"] == [[pytest.approx(cell.measured)]]
    seeds = [line for line in ax.lines if list(line.get_ydata()) == [0.2] * 3]
    assert sorted(seeds[0].get_xdata()) == sorted(measured.finished(cell.arm, "test_top1"))


def test_diverged_seeds_are_a_counted_cross_and_no_mean(full):
    shaped = _shaped(full, "vgg")
    ax = table_figure.table_figure(shaped, full).figure.axes[0]
    row = list(shaped.rows).index("plain")  # trained without a norm, which diverges here in every seed
    assert [list(line.get_ydata()) for line in ax.lines if line.get_marker() == "x"] == [[row]]
    assert "3 of 3" in [text.get_text() for text in ax.texts]
    assert not [line for line in ax.lines if line.get_marker() == "o" and list(line.get_ydata()) == [row]]


def test_published_values_are_hollow_labeled_and_of_the_metric_alone(full):
    shaped = _shaped(full, "vgg")
    drawn = table_figure.table_figure(shaped, full)
    diamonds = {line.get_xdata()[0] for line in drawn.figure.axes[0].lines if line.get_marker() == "D"}
    assert diamonds == {25.0, 27.6}
    assert all(line.get_markerfacecolor() == style.PAGE for line in drawn.figure.axes[0].lines if line.get_marker() == "D")
    assert "published, paper's scale" in [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    nats = Metric(unit="nats", direction="lower", says="")
    assert table_figure.published_value(shaped, "bias", "vgg19", nats) is None
    narrow = Metric(unit="%", direction="lower", low=0, high=20, says="")
    assert table_figure.published_value(shaped, "bias", "vgg19", narrow) is None


def test_a_table_of_which_nothing_was_run_has_no_figure(measured):
    shaped = _shaped(measured, "architectures")
    assert table_figure.table_figure(shaped, measured) is None
    assert training_figure.training_figure(shaped, measured) is None


def test_lines_are_labeled_where_they_end_and_labels_do_not_touch(measured):
    paper = read_paper(KEY)
    claim = next(c for c in paper.claims if c.id == "multiplier-explodes")
    (drawn,) = series_figure.claim_figures(paper, claim, measured)
    ax = drawn.figure.axes[0]
    assert not ax.get_legend() and not drawn.figure.legends
    assert len(ax.texts) == 3  # three arms, those of `constant` among them, each once
    assert all(text.get_text().endswith("n 3") for text in ax.texts)
    drawn.figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    thick = [line for line in ax.lines if line.get_linewidth() == 2]
    series = measured.series(paper, Operand(arm="resnet50_rescalenet"), "variance_end", "k")
    assert any(np.allclose(line.get_ydata(), np.mean(series.values, axis=0)) for line in thick)


def test_a_sweep_has_a_panel_for_each_other_value_and_its_diverged_points(full):
    drawn = sweep_figure.sweep_figure(read_paper("skipinit"), "grid_bn", full)
    shown = [ax for ax in drawn.figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == [f"batch size {size}" for size in (64, 128, 256, 512, 1024, 2048)]
    assert all(ax.get_xscale() == "log" for ax in shown)
    # At a rate of 8 or more the first seed diverges, at 32 all three do.
    crosses = {line.get_xdata()[0] for line in shown[0].lines if line.get_marker() == "x"}
    assert crosses == {8.0, 16.0, 32.0}
    assert [text.get_text() for text in shown[0].texts] == ["1", "1", "3"]
    assert sweep_figure.sweep_figure(read_paper("skipinit"), "depth16_bn", full) is None


def test_a_swept_series_runs_along_its_setting(full):
    paper = read_paper("skipinit")
    claim = next(c for c in paper.claims if c.id == "lr-linear-in-batch")
    drawn = [d for d in series_figure.claim_figures(paper, claim, full)]
    assert drawn and all(d.figure.axes[0].get_xlabel() == "batch size (samples)" for d in drawn)


def test_training_curves_of_a_row_are_those_of_its_runs(measured):
    shaped = _shaped(measured, "imagenet")
    drawn = training_figure.training_figure(shaped, measured)
    loss = drawn.figure.axes[0]
    arm = shaped.cells[next(iter(shaped.rows)), "top1"].arm
    seeds = [measured.curve(run.run, "train_loss") for run in measured.status(arm)]
    thick = [line for line in loss.lines if line.get_linewidth() == 1.6]
    assert len(thick) == 1  # three columns show one arm
    assert np.allclose(thick[0].get_ydata(), np.mean(seeds, axis=0))
    assert loss.get_ylabel() == "train loss (nats)"


def test_long_curves_are_averaged_over_stretches():
    steps = np.arange(1, 1001)
    thin = training_figure.thinned(pd.DataFrame([steps * 2.0, steps * 3.0], columns=steps))
    assert thin.shape == (2, training_figure.POINTS)
    assert np.allclose(thin.loc[0], 2 * thin.columns.to_numpy()) and np.allclose(thin.loc[1], 3 * thin.columns.to_numpy())
    short = pd.DataFrame([[1.0, 2.0]], columns=[5, 10])
    assert training_figure.thinned(short).equals(short)


def test_the_ledger_has_each_verdicts_letter_and_the_numbers_of_claims_csv(root, measured):
    rows = read_claims(root / "claims.csv")
    drawn = ledger_figure.ledger_figure(read_paper(KEY), rows, measured)
    texts = [text.get_text() for text in drawn.figure.axes[0].texts]
    assert [t for t in texts if t in "SCIAN"] == [style.VERDICTS[row["verdict"]][0] for row in rows]
    assert [t for t in texts if t in {row["claim"] for row in rows}] == [row["claim"] for row in rows]
    (tested,) = [row for row in rows if row["claim"] == "matches-bn-imagenet"]
    effect = next(t for t in texts if t.endswith(f"n {tested['n']}") and "points" in t)
    assert float(effect.split()[0]) == pytest.approx(float(tested["effect"]), abs=0.5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-2, 3), min_size=1, max_size=8))
def test_labels_keep_their_order_and_their_distance(wanted):
    places = style.spread(np.array(wanted), 0.1)
    order = np.argsort(wanted, kind="stable")
    assert np.all(np.diff(places[order]) >= 0.1 - 1e-9)
    assert places.min() >= -1e-9 and places.max() <= 1 + 1e-9
    if np.all(np.diff(np.sort(wanted)) >= 0.1) and min(wanted) >= 0 and max(wanted) <= 0.3:  # nothing to move
        assert np.allclose(places, wanted)


def test_the_view_holds_all_values_and_cuts_intervals_at_what_the_metric_can_be():
    percent = Metric(unit="%", direction="higher", low=0, high=100, says="")
    low, high = marks.view([90.0, 95.0], percent, [20.0, 160.0])
    assert 84 < low <= 90 and 95 <= high <= 100.5
    low, high = marks.view([10.0, 12.0], percent, [])
    assert low < 10 and high > 12


def test_scales_are_logarithmic_over_decades_and_say_so():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    wide = Series("wide", (1.0, 2.0), ((1.0, 1000.0),), (0,), "")
    assert "logarithmic" in series_figure._scales(ax, "k", [wide]) and ax.get_yscale() == "log"
    ax = Figure().subplots()
    assert not series_figure._scales(ax, "k", [Series("flat", (1.0, 2.0), ((1.0, 2.0),), (0,), "")]) and ax.get_yscale() == "linear"


def test_a_missing_file_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["figures", "--root", str(tmp_path)])
    assert figures.main() == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'plan.json'}: is missing or broken")
