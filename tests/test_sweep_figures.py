"""The papers' own figures: planned like tables, drawn where the numbers are, and what a mistake in one says."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from facts import mistake
from synthetic_build import make_build

from normbench.analysis.results import Measured
from normbench.claims.stats import pearson
from normbench.config.exhibits import Figure
from normbench.config.papers import PAPERS, read_paper
from normbench.execution.columns import PROBES, RUNS
from normbench.execution.tables import read_table, table_of, write_table
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan
from normbench.reporting import figures
from normbench.reporting.plots.lines import Line, arm_titles, logarithmic, read_line, theory
from normbench.reporting.plots.multiples_figure import OWN, THEORY, multiples_figures
from normbench.reporting.plots.scatter_figure import SPAN, scatter_figure
from normbench.reporting.summary import read_claims

pytestmark = pytest.mark.slow

KEY = "beyond_batchnorm"
QUANTITIES = ("variance", "skip_over_branch", "cosine_similarity", "stable_rank", "gradient_norm")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A quick tier with the probes that the figures show: of arm i the variance grows as k, the others fall; seed 1 of one diverged."""
    folder = make_build(tmp_path_factory.mktemp("build"), "quick", (KEY,))
    plan = Plan.read(folder)
    runs = read_table(folder, RUNS)
    first = plan.arms_at(KEY, "signal_none")[0]
    lost = pl.when(pl.col("run") == f"{first}-s1").then(pl.lit("diverged")).otherwise(pl.col("status"))
    write_table(runs.with_columns(status=lost), folder, RUNS)
    rows, probed = [], runs.filter((pl.col("task") == "propagation") & (pl.col("status") != "refused"))
    for i, run in enumerate(sorted(probed["run"].unique())):
        for k in range(1, (4 if run == f"{first}-s1" else 29)):
            rows += [(run, f"b{k}", k, 28, q, (1 + i % 7) * (k if q == "variance" else 1 / k)) for q in QUANTITIES]
    write_table(table_of(rows, PROBES), folder, PROBES)
    return folder


@pytest.fixture(scope="module")
def measured(root) -> Measured:
    return Measured.read(root)


def figure(id_: str) -> Figure:
    return next(f for f in read_paper(KEY).figures if f.id == id_)


def drawn(id_: str, measured: Measured) -> dict:
    return {one.of: one for one in multiples_figures(read_paper(KEY), figure(id_), measured)}


def panel(one, title: str):
    return next(ax for ax in one.figure.axes if ax.get_title(loc="left").replace("\n", " ") == title)


def labeled(ax, look: dict) -> list:
    return [line for line in ax.lines if line.get_label() == look["label"]]


def test_the_means_over_blocks_are_drawn_and_all_others_stand_behind(measured):
    one = drawn("depth", measured)["depth-variance"]
    line = read_line(read_paper(KEY), figure("depth"), "signal_rms_norm", "", "variance", measured)
    ax = panel(one, "RMS norm")
    (own,) = labeled(ax, OWN)
    assert list(own.get_xdata()) == list(range(1, 29))
    assert np.allclose(own.get_ydata(), [np.mean(v) for v in line.values]) and line.values[0] != line.values[1]
    shown = [a for a in one.figure.axes if a.get_visible()]
    (behind,) = ax.collections
    assert len(behind.get_segments()) == len(shown) - 1 == 22  # nf_resnet refuses in this invented build
    assert "NF-ResNet" in one.says


def test_a_swept_setting_has_the_mean_of_each_point(measured):
    paper, one = read_paper(KEY), drawn("depths", measured)["depths-variance_ratio"]
    points = measured.plan.points[KEY, "depths_layer_norm"]
    means = {float(p["model.blocks"]): np.mean(measured.finished(arm, "variance_ratio")) for p, arm in points}
    (own,) = labeled(panel(one, "Layer norm"), OWN)
    assert dict(zip(own.get_xdata(), own.get_ydata(), strict=True)) == pytest.approx(means) and sorted(means) == [8, 16, 32]
    assert panel(one, "Layer norm").get_xscale() == "log"
    assert list(arm_titles(paper, figure("depths"), measured).values())[-1] == "RescaleNet"


def test_theory_lines_have_their_values_and_their_names(measured):
    ax = panel(drawn("depth", measured)["depth-variance"], "Batch norm")
    k, doubling = labeled(ax, THEORY)
    assert np.allclose(k.get_ydata(), k.get_xdata()) and np.allclose(doubling.get_ydata(), 2.0 ** doubling.get_xdata())
    assert [text.get_text() for text in ax.texts] == ["k", "2^k"]
    (one,) = drawn("groups", measured).values()
    (root,) = labeled(one.figure.axes[1], THEORY)
    assert np.allclose(root.get_ydata(), np.sqrt(64 / root.get_xdata())) and root.get_xdata()[-1] == pytest.approx(64)
    assert not labeled(one.figure.axes[0], THEORY)


@pytest.mark.parametrize(("word", "expected"), [("2^k", [2, 16]), ("k", [1, 4]), ("constant", [1, 1]), ("sqrt(k)", [1, 2])])
def test_a_word_of_theory_is_its_function(word, expected):
    assert theory(word, np.array([1.0, 4.0])) == pytest.approx(expected)


def test_diverged_seeds_are_a_counted_cross_where_they_ended(measured):
    ax = panel(drawn("depth", measured)["depth-variance"], "No normalization")
    assert [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "x"] == [[3.0]]
    assert "1" in [text.get_text() for text in ax.texts]
    (own,) = labeled(ax, OWN)
    assert len(own.get_xdata()) == 28


def test_axes_are_logarithmic_from_one_decade_on_and_never_with_negative_means():
    assert logarithmic([Line("", [1, 2], [[1.0], [11.0]])]) and not logarithmic([Line("", [1, 2], [[1.0], [9.0]])])
    assert logarithmic([Line("", [1, 2, 3], [[0.0], [1.0], [11.0]])]) and not logarithmic([Line("", [1, 2], [[-1.0], [11.0]])])


def test_guests_are_planned_in_the_guests_place_and_drawn_last(monkeypatch, measured):
    monkeypatch.setattr("normbench.planning.make.method_names", lambda: ["topk_batch_norm"])
    plan = make_plan("quick", Selection(papers=(KEY,), methods=("topk_batch_norm",)))
    assert [p for p, _ in plan.points[KEY, "widths_batch_norm@topk_batch_norm"]] == [{"model.width": w} for w in (8, 16, 32)]
    assert (KEY, "signal_batch_norm@topk_batch_norm") not in plan.points  # it has a panel of its own there
    points = {**measured.plan.points, (KEY, "widths_batch_norm@my_norm"): measured.plan.points[KEY, "widths_rms_norm"]}
    more = dataclasses.replace(measured, plan=dataclasses.replace(measured.plan, points=points, guests=["my_norm"]))
    one = drawn("widths", more)["widths-gradient_ratio"]
    assert [ax.get_title(loc="left") for ax in one.figure.axes if ax.get_visible()][-2:] == ["RescaleNet", "my norm"]


def test_a_figure_of_which_nothing_was_measured_is_left_out(measured):
    nothing = dataclasses.replace(measured, runs=measured.runs.filter(pl.col("method") == "group_norm"))
    assert drawn("depth", measured) and set(drawn("widths", nothing)) == {f"widths-{q}" for q in figure("widths").quantities}
    none = dataclasses.replace(measured, runs=measured.runs.clear(), probes=measured.probes.clear())
    assert not any(drawn(id_, none) for id_ in ("depth", "depths", "widths", "batches", "groups"))
    assert scatter_figure(read_paper(KEY), figure("similarity-speed"), none) is None
    assert not list(multiples_figures(read_paper(KEY), figure("depth").model_copy(update={"start": "laptop"}), measured))


def test_points_stand_at_both_metrics_beside_the_published_and_correlations_are_in_the_title(measured):
    paper, fig = read_paper(KEY), figure("similarity-speed")
    one = scatter_figure(paper, fig, measured)
    ours = [tuple(measured.of(paper, arm, m).mean for m in (fig.along, fig.quantities[0])) for arm in fig.panels[0].arms]
    ax = one.figure.axes[0]
    found = {marker: {(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() == marker} for marker in "oD"}
    assert found["o"] == set(ours) and (0.46, 89.7) in found["D"] and len(found["D"]) == 9
    assert ax.get_title(loc="left") == f"10 layers: correlation {pearson(*zip(*ours, strict=True)).r:+.2f} over 9 layers, published -0.67"
    assert "published -0.88" in one.figure.axes[2].get_title(loc="left")
    one.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 18
    touching = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7))]
    assert not touching and SPAN[0] < 10


def test_all_files_are_written_once_a_sweep_with_a_figure_of_its_own_has_no_second_one(root, measured):
    folder = root / "figures"
    figures.write_figures(measured, read_claims(root / "claims.csv"), folder)
    entries = [entry for entry in json.loads((folder / "figures.json").read_text()) if entry["paper"] == KEY]
    here = [f for f in read_paper(KEY).figures if len(f.arms) > 1 and f.start != "laptop"]
    expected = {f"{f.id}-{q}" for f in here for q in f.quantities} | {"groups", "similarity-speed"}
    assert {entry["of"] for entry in entries if entry["kind"] == "figure"} == expected
    assert not [entry for entry in entries if entry["kind"] == "sweep"]
    assert all((folder / KEY / f"figure-{of}.{suffix}").stat().st_size > 2000 for of in expected for suffix in ("svg", "png"))


BROKEN = {
    "arm": ({"arms": ["signal_bacth_norm"]}, "figures.depth", "'signal_bacth_norm'", "arm", "'signal_batch_norm'"),
    "guest": ({"guests": "signal_non"}, "figures.depth.guests", "'signal_non'", "arm", "'signal_none'"),
    "id": ({"id": "layers"}, "id", "'layers'", "twice"),
    "along": ({"along": "model.width"}, "figures.depth", "'signal_batch_norm'", "sweep", "model.width"),
    "setting": ({"along": "model.widht"}, "figures.depth.along", "'model.widht'", "'model.width'"),
    "theory": ({"theory": {"variance": "k^2"}}, "figures.depth.theory.variance", "'k^2'", "'2^k'", "'k'", "'constant'", "'sqrt(k)'"),
    "quantity": ({"theory": {"varianse": "k"}}, "figures.depth.theory", "'varianse'", "quantity", "'variance'"),
    "neither": ({"arms": [], "guests": None}, "figures.depth", "arms", "panels"),
    "metric": (
        {"arms": ["depths_none"], "guests": None, "along": "model.blocks", "quantities": ["gradient_ration"], "theory": {}},
        *("figures.depth", "'gradient_ration'", "task propagation", "'gradient_ratio'"),
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_mistake_in_a_figure_is_one_sentence(what, tmp_path):
    changes, *facts = BROKEN[what]
    paper = yaml.safe_load((PAPERS / f"{KEY}.yaml").read_text(encoding="utf-8"))
    paper["figures"][0] |= changes
    (tmp_path / f"{KEY}.yaml").write_text(yaml.safe_dump(paper, sort_keys=False), encoding="utf-8")
    with mistake(f"{KEY}.yaml", *facts):
        read_paper(KEY, tmp_path)
