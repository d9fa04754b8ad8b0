"""The papers' tables: each number in its own column, with its n, and what a reader must know beside it."""

import csv
import io
import re
from dataclasses import replace

import polars as pl
import pytest
from facts import mistake
from planted import LOST, a_claim, a_paper, measured
from records_on_disk import run_main, write_line

from normbench.analysis import ledger
from normbench.config.papers import paper_keys, read_paper
from normbench.reporting.tables import cell, main, write_table

GRID = {"table": "table 1-2", "setting": "cifar10 wide_resnet depth100"}
FIELDS = ["row", "column", "metric", "published", "published_kind", "published_source", "measured", "low", "high", "n", "status", "arm"]


def a_table(rows: dict[str, dict], **fields) -> dict:
    columns = {"top1": {"title": "Depth 100"}}
    given = {"id": "depths", "title": "Depths", "metric": "test_top1", "reported": {**GRID, "metric": "test_top1"}, "columns": columns}
    return {**given, "rows": {name: {"title": name.upper(), **row} for name, row in rows.items()}, **fields}


def made(rows: dict, found, arms=("a", "b", "c"), sweeps=None, **fields):
    paper = a_paper(list(arms), [], [a_table(rows, **fields)], sweeps)
    return paper, paper.tables[0], found


def written(tmp_path, *parts) -> tuple[list[dict], str, str]:
    paper, table, found = made(*parts[:2], **(parts[2] if len(parts) > 2 else {}))
    write_table(paper, table, found, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "depths.csv").read_text())))
    return rows, (tmp_path / "depths.md").read_text(), (tmp_path / "depths.tex").read_text()


def only_cell(row: dict, found, **given):
    paper, table, found = made({"r": row}, found, **given)
    return cell(paper, table, "r", table.rows["r"], "top1", found)


def test_a_cell_is_the_mean_over_seeds_with_its_interval_and_n():
    found = only_cell({"arms": {"top1": "a"}}, measured({"a": [90.0, 91.0, 92.0]}))
    # Student's t(2; 0.975) / sqrt(3) = 2.484
    assert (found.measured, found.n, found.status, found.arm) == (91.0, 3, "measured", "a")
    assert (found.low, found.high) == (pytest.approx(91 - 2.4841, abs=1e-3), pytest.approx(91 + 2.4841, abs=1e-3))
    assert (found.published, found.published_kind, found.published_source) == ("", "", "")


def test_what_was_published_stands_in_its_own_column_and_never_in_measured():
    found = only_cell({"reported": {"method": "divide_sqrt2"}}, measured({"a": [90.0]}))
    assert (found.published, found.published_kind, found.measured, found.n, found.status) == ("88.9", "verbatim", None, 0, "published only")
    assert "2002.10444" in found.published_source
    both = only_cell({"arms": {"top1": "a"}, "reported": {"method": "divide_sqrt2"}}, measured({"a": [70.0, 71.0, 72.0]}))
    assert (both.published, both.measured) == ("88.9", 71.0)


def test_a_cell_of_one_seed_has_no_interval():
    found = only_cell({"arms": {"top1": "a"}}, measured({"a": [90.0]}))
    assert (found.measured, found.low, found.high, found.n) == (90.0, None, None, 1)


def test_diverged_seeds_are_counted_and_not_averaged():
    found = only_cell({"arms": {"top1": "a"}}, measured({"a": [90.0, LOST, 92.0]}))
    assert (found.measured, found.n, found.status) == (91.0, 2, "1 of 3 diverged")
    found = only_cell({"arms": {"top1": "a"}}, measured({"a": [LOST, LOST, LOST]}))
    assert (found.measured, found.n, found.status) == (None, 3, "diverged")


@pytest.mark.parametrize(
    "values, given, fields, status",
    [
        ({}, {}, {}, "not run: its runs were not selected"),
        ({"a": [1.0]}, {"statuses": {"a": "refused"}}, {}, "not run: the method batch_norm refuses to stand in this model"),
        ({"a": [1.0]}, {}, {"from": "gpu"}, "not run: needs tier gpu"),
    ],
)
def test_what_was_not_run_says_why(values, given, fields, status):
    found = only_cell({"arms": {"top1": "a"}}, measured(values, **given), **fields)
    assert (found.status, found.measured, found.n) == (status, None, 0)


def test_the_cell_of_a_sweep_is_its_best_point_and_names_it():
    sweep = {"s": [({"lr": 0.1}, [80.0, 81.0]), ({"lr": 0.2}, [90.0, 91.0]), ({"lr": 0.4}, [LOST, 92.0])]}
    found = only_cell({"arms": {"top1": "s"}}, measured({}, sweep), sweeps={"s": {"lr": [0.1, 0.2, 0.4]}})
    assert (found.measured, found.status, found.arm) == (90.5, "measured at learning rate 0.2", "s1")


def test_the_files_hold_the_same_numbers(tmp_path):
    rows, md, tex = written(
        tmp_path,
        {"x": {"arms": {"top1": "a"}, "reported": {"method": "divide_sqrt2"}}, "y": {"arms": {"top1": "b"}}},
        measured({"a": [70.0, 71.0, 72.0], "b": [LOST] * 3}),
    )
    assert list(rows[0]) == FIELDS and [row["row"] for row in rows] == ["X", "Y"]
    assert (rows[0]["published"], rows[0]["measured"], rows[0]["n"]) == ("88.9", "71", "3")
    assert "| X | 88.9[a] | 71.0 ± 2.5 (n 3) |" in md and "| Y | – | not trainable (n 3, all diverged) |" in md
    assert r"X & 88.9\textsuperscript{a} & 71.0 $\pm$ 2.5 (n 3) \\" in tex and r"Y & -- & not trainable (n 3, all diverged) \\" in tex
    assert (
        "### Depths" in md
        and "test top1. Measured at the quick tier (digits, 10 steps of 4): mean ± half of the 95% interval over n seeds" in md
    )
    assert "[a] Published, verbatim: " in md and r"95\% interval" in tex and tex.count(r"\begin{tabular}{lrr}") == 1


def test_a_caption_does_not_say_that_something_was_measured_where_nothing_was(tmp_path):
    rows = {"x": {"arms": {"top1": "a"}, "reported": {"method": "divide_sqrt2"}}}
    assert "Measured at the quick tier" in written(tmp_path, rows, measured({"a": [LOST, LOST]}))[1]  # diverged is measured, too
    md = written(tmp_path, rows, measured({}))[1]
    assert "Nothing of this was measured at the quick tier. Published numbers are the paper's" in md and "Measured at" not in md


def test_a_footnote_tells_what_a_row_had_that_its_baseline_had_not(tmp_path):
    values = {"a": [90.0, 91.0], "b": [80.0, 81.0], "c": [70.0, 71.0]}
    rows = {"x": {"arms": {"top1": "a"}}, "y": {"arms": {"top1": "b"}}, "z": {"arms": {"top1": "c"}}}
    _, md, tex = written(tmp_path, rows, measured(values, recipes={"b": {"lr": 0.2}, "c": {"norm_every": 3}}))
    assert "| Y[1] |" in md and "[1] learning rate 0.2 against 0.1." in md
    assert "| X |" in md and "| Z |" in md and "[2]" not in md  # how often norms are recorded changes no result
    assert r"Y\textsuperscript{1} &" in tex and r"\textsuperscript{1} learning rate 0.2 against 0.1." in tex


def test_rows_that_differ_alike_share_a_footnote_and_the_guests_row_is_the_baseline(tmp_path):
    values = {"a": [90.0, 91.0], "b": [80.0, 81.0], "c": [70.0, 71.0]}
    rows = {"x": {"arms": {"top1": "a"}}, "y": {"arms": {"top1": "b"}}, "z": {"arms": {"top1": "c"}}}
    found = measured(values, recipes={"a": {"lr": 0.2, "mixup": 0.7}, "c": {"lr": 0.2, "mixup": 0.7}})
    _, md, _ = written(tmp_path, rows, found, {"guests": "y"})
    assert "| X[1] |" in md and "| Y |" in md and "| Z[1] |" in md
    assert "[1] learning rate 0.2 against 0.1, mixup 0.7 against 0." in md and "[2]" not in md


def test_a_guest_gets_a_row_of_its_own_beside_the_papers(tmp_path):
    found = measured({"a": [90.0, 91.0], "a@my_norm": [60.0, 61.0]}, guests=["my_norm", "elsewhere"])
    rows, md, _ = written(tmp_path, {"x": {"arms": {"top1": "a"}, "reported": {"method": "divide_sqrt2"}}}, found, {"guests": "x"})
    assert [(row["row"], row["published"], row["measured"]) for row in rows] == [("X", "88.9", "90.5"), ("my_norm", "", "60.5")]
    assert "| my_norm | – | 60.5" in md


def test_a_wrong_published_coordinate_is_a_mistake_that_names_its_place():
    with mistake("papers/skipinit.yaml: tables.depths.rows.r: reported", "divide_sqrt3", "'skipinit / "):
        only_cell({"reported": {"method": "divide_sqrt3"}}, measured({}))


def test_the_files_are_the_same_each_time_they_are_written(tmp_path):
    root = write_line(tmp_path / "tiny", papers=["norm_matters", "skipinit"])
    run_main(ledger.main, root)
    seen = []
    for _ in range(2):
        assert run_main(main, root) == 0
        seen.append({path.relative_to(root): path.read_bytes() for path in sorted((root / "tables").rglob("*.*"))})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3 * sum(len(read_paper(key).tables) for key in ("norm_matters", "skipinit"))


def test_a_table_of_runs_that_two_frameworks_trained_is_one_sentence(tmp_path):
    found = measured({"a": [90.0, 91.0], "b": [88.0, 89.0]})
    engines = {"a": "detectron2 0.6", "b": "torchvision 0.29.1"}
    parts = {"one": {"arms": {"top1": "a"}}, "two": {"arms": {"top1": "b"}}}
    versions = pl.Series(["torch 2.14.1", "torch 2.15.0"] * 2)
    written(tmp_path, parts, replace(found, runs=found.runs.with_columns(engine=versions)))  # versions may differ
    with mistake("detectron2", "torchvision", "imagenet", "engine"):
        written(tmp_path, parts, replace(found, runs=found.runs.with_columns(engine=pl.col("arm").replace(engines))))


def a_typeset(tmp_path, rows, found, verdicts=None, **given) -> tuple[str, str]:
    paper, table, found = made(rows, found, **given)
    write_table(paper, table, found, tmp_path, verdicts)
    return (tmp_path / "depths.md").read_text(), (tmp_path / "depths.tex").read_text()


def test_cells_are_marked_with_the_verdicts_that_read_them_but_not_a_control(tmp_path):
    claim = {"test": "untrainable", "arm": "a", "control": "b", "margin": 10.0}
    paper = a_paper(["a", "b"], [a_claim(claim, id="lost")], [a_table({"x": {"arms": {"top1": "a"}}, "y": {"arms": {"top1": "b"}}})])
    write_table(paper, paper.tables[0], measured({"a": [70.0, 71.0], "b": [90.0, 91.0]}), tmp_path, {"lost": "contradicted"})
    md, tex = (tmp_path / "depths.md").read_text(), (tmp_path / "depths.tex").read_text()
    assert "| X | – | 70.5 ± 6.4 (n 2)[C] |" in md and "| Y | – | 90.5 ± 6.4 (n 2) |" in md
    assert "[C] Read by claims that are contradicted: lost." in md and r"(n 2)\textsuperscript{C} \\" in tex
    write_table(paper, paper.tables[0], measured({"b": [90.0, 91.0]}), tmp_path, {"lost": "contradicted"})
    assert "[C]" not in (tmp_path / "depths.md").read_text()  # nothing ran that a verdict could have read


def test_what_did_not_learn_is_marked(tmp_path):
    rows = {"x": {"arms": {"top1": "a"}}, "y": {"arms": {"top1": "b"}}}
    md, tex = a_typeset(tmp_path, rows, measured({"a": [10.0, 11.0, 19.9], "b": [10.0, 11.0, 20.1]}))  # of ten classes: guessing reaches 10
    assert "| X | – | 13.6 ± 13.5 (n 3)[†] |" in md and "(n 3)[†]" not in md.partition("| Y")[2].partition("\n")[0]
    assert "[†] Not trained: no seed ended 10 points above guessing." in md and r"\textsuperscript{\textdagger{}}" in tex


def test_numbers_of_a_column_have_as_many_decimals_as_their_intervals_deserve(tmp_path):
    rows = {name: {"arms": {"top1": name}} for name in ("a", "b", "c")}
    md, _ = a_typeset(tmp_path, rows, measured({"a": [90.0, 90.01], "b": [80.0, 80.012], "c": [70.0, 74.0]}))
    assert "| A | – | 90.00 ± 0.06 (n 2) |" in md and "| C | – | 72.00 ± 25.41 (n 2) |" in md
    md, _ = a_typeset(tmp_path, rows, measured({"a": [90.0, 90.002], "b": [80.0, 84.0], "c": [70.0, 74.0]}))
    assert "| A | – | 90.001 ± 0.013 (n 2) |" in md and "| C | – | 72.0 ± 25.4 (n 2) |" in md  # an interval never looks like none


def test_latex_has_no_character_that_needs_another_package(tmp_path):
    title = "A & B_c {x} 50% #1 $ ~ ^ \\ < > | ≥ × √ ∞ – … ’"
    _, tex = a_typeset(tmp_path, {"x": {"arms": {"top1": "a"}}}, measured({"a": [70.0, 71.0]}), title=title)
    assert tex.isascii()
    bare = re.sub(r"\\[a-zA-Z]+\*?|\\.", "", tex.split("\n", 1)[1].replace(r"\ifdim\width>\linewidth", ""))
    assert bare.count("{") == bare.count("}") and not re.search(r"[_#~^<>|]", bare) and bare.count("$") % 2 == 0
    widths = {line.count(" & ") for line in tex.splitlines() if line.endswith(r" \\") and "multicolumn" not in line}
    assert widths == {2}
    assert r"\cmidrule(lr){2-3}" in tex and r"\resizebox{\ifdim\width>\linewidth" in tex and r"\label{tab:skipinit-depths}" in tex


@pytest.mark.parametrize("key", paper_keys())
def test_every_table_of_a_paper_is_ascii_in_latex(key, tmp_path):
    paper, found = read_paper(key), measured({})
    for table in paper.tables:
        write_table(paper, table, found, tmp_path)
        text = (tmp_path / f"{table.id}.tex").read_text()
        assert text.isascii(), re.sub(r"[ -~\n]", "", text)
        assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
