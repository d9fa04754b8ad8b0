"""Runs that somebody brings: what keeps them from standing beside ours is named, and nothing else is."""

import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
from facts import names
from packs import a_build, pack_of
from published_samples import edit
from synthetic_build import make_build

from normbench.config.method_files import read_method
from normbench.dataset import check_contribution
from normbench.execution.collect import write_tables
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.records import read_record
from normbench.execution.tables import read_table, read_tables, write_table
from normbench.planning.make import make_plan


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    """results/quick of one paper, by this repository's methods and versions."""
    root = make_build(tmp_path_factory.mktemp("results"), "quick", ("rescalenet",))
    here = {name: read_method(name).sha256 for name in pl.read_parquet(root / RUNS.path)["method"].unique()}
    versions = [pl.col("method").replace(here).alias("method_sha256"), pl.lit(version("torch")).alias("torch")]
    edit(root, RUNS, lambda runs: with_losses(runs).with_columns(versions))
    return root


def with_losses(runs: pl.DataFrame) -> pl.DataFrame:
    """Every trained run has the metric that says so."""
    rows = runs.filter(pl.col("metric") == "test_top1").with_columns(metric=pl.lit("train_loss"), value=pl.lit(1.0), unit=pl.lit("nats"))
    return pl.concat([runs, rows])


@pytest.fixture
def brought(ours, tmp_path) -> tuple[Path, Path]:
    """(a folder with the runs of one arm, results with all others)."""
    folder, results = tmp_path / "contributed" / "quick", tmp_path / "results"
    shutil.copytree(ours, results / "quick")
    trained = read_table(ours, CURVES).filter(pl.col("metric") == "train_loss")["run"]
    arm = read_table(ours, RUNS).filter(pl.col("run").is_in(trained.implode()))["arm"][0]
    mine = pl.col("run").str.starts_with(arm)
    folder.mkdir(parents=True)
    for file in (RUNS, CURVES, PROBES):
        write_table(read_table(ours, file).filter(mine), folder, file)
        write_table(read_table(ours, file).filter(~mine), results / "quick", file)
    return folder, results


def check(folder: Path, results: Path, capsys) -> tuple[int, list[str]]:
    with mock.patch.object(sys, "argv", ["check_contribution", "--folder", str(folder), "--results", str(results)]):
        code = check_contribution.main()
    out, err = capsys.readouterr()
    return code, (err or out).splitlines()


def test_complete_runs_of_this_version_are_welcome_with_and_without_probes(brought, capsys):
    folder, results = brought
    arm = read_table(folder, RUNS)["arm"][0]
    said = [f"{folder}: 3 runs of 1 arms, complete, of this version, and nobody's copies"]
    assert check(folder, results, capsys) == (0, said)
    (folder / PROBES.path).unlink()
    assert check(folder, results, capsys) == (0, said)
    assert arm not in set(read_table(results / "quick", RUNS)["arm"])


@pytest.mark.parametrize(
    "change, says",
    [
        ({"method_sha256": "f" * 64}, r"-s0: methods/\w+\.py was ffffffffffff\.\.\. there, and is [0-9a-f]{12}\.\.\. here"),
        ({"data_sha256": "f" * 64}, r"-s0: the data \w+ were ffffffffffff\.\.\. there, and are bbbbbbbbbbbb\.\.\. here"),
        ({"torch": "1.0.0"}, r"-s0: was made by torch 1\.0\.0, and runs here are by \d"),
        ({"git_commit": "c" * 40 + "+"}, r"-s0: its commit is c+\+: the code that made it is in no commit; commit it and run again"),
        (
            {"git_commit": "normbench 0.1.0 (in no repository)"},
            r"-s0: its commit is normbench 0\.1\.0 \(in no repository\): the code that made",
        ),
        ({"git_commit": ""}, r"-s0: its commit is not recorded: the code that made it is in no commit"),
        ({"params": '{"eps":1}'}, r'-s0: its params is \{"eps":1\}, and this repository\'s quick tier says \{'),
    ],
)
def test_runs_of_something_else_are_named(brought, capsys, change, says):
    folder, results = brought
    edit(folder, RUNS, lambda runs: runs.with_columns(pl.lit(value).alias(name) for name, value in change.items()))
    code, found = check(folder, results, capsys)
    assert code == 1 and found[0].startswith(f"error: {folder / RUNS.path}: ")
    assert pl.Series(found).str.contains(says).any(), found


def test_missing_seeds_copies_and_runs_that_are_there_already_are_named(brought, capsys):
    folder, results = brought
    whole = {file.name: read_table(folder, file) for file in (RUNS, CURVES)}
    first, second, third = sorted(whole["runs"]["run"].unique())
    edit(folder, RUNS, lambda runs: runs.filter(pl.col("run") == first))
    edit(folder, CURVES, lambda curves: curves.filter(pl.col("run") == first))
    arm = whole["runs"]["arm"][0]
    assert f"error: {folder / RUNS.path}: {arm}: lacks the seeds 1 and 2 (it needs 0, 1 and 2)" in check(folder, results, capsys)[1]

    # The other two are published already, and the third's curve is the first's.
    for file in (RUNS, CURVES):
        rows = whole[file.name].filter(pl.col("run") != first)
        if file is CURVES:
            copied = whole["curves"].filter(pl.col("run") == first).with_columns(run=pl.lit(third))
            rows = pl.concat([rows.filter(pl.col("run") != third), copied])
        write_table(pl.concat([read_table(results / "quick", file), rows]), results / "quick", file)
    says = f"error: {folder / CURVES.path}: {first} and {third} have the same training loss at every step, and seeds differ"
    assert any(sentence.startswith(says) for sentence in check(folder, results, capsys)[1])

    write_table(whole["runs"], folder, RUNS)
    _, found = check(folder, results, capsys)
    assert f"error: {folder / RUNS.path}: {second}: is published already; a contribution adds runs" in found
    assert f"error: {folder / CURVES.path}: {second}: was trained, and shows no train_loss" in found


def test_a_folder_of_nothing_is_named(tmp_path, capsys):
    code, found = check(tmp_path / "quick", tmp_path, capsys)
    assert code == 1
    names("\n".join(found), f"--config folder={tmp_path / 'quick'}", "no such folder", "runs.parquet", "snakemake pack")
    (tmp_path / "quik").mkdir()
    assert "is no tier; did you mean 'quick'?" in check(tmp_path / "quik", tmp_path, capsys)[1][0]


def test_a_pack_is_asked_what_a_folder_is_asked(tmp_path, capsys):
    """Of the same runs the same is said."""
    pipeline = a_build(tmp_path / "build", seeds=(0,), torch=version("torch"), git_commit="c" * 40)
    pack = pack_of(pipeline)
    folder = tmp_path / "tiny"
    folder.mkdir()
    records = [read_record(path) for path in sorted(pipeline.folders.record("").parent.glob("*.json"))]
    write_tables(records, folder, make_plan("tiny"))
    collected = read_tables(folder)
    for name, table in check_contribution.brought(pack)[1].items():
        assert len(table) and table.sort(table.columns).equals(collected[name].sort(table.columns)), name
    said = [check(place, tmp_path / "results", capsys) for place in (pack, folder)]
    assert said[0][0] == 1 and any("lacks the seed 1" in sentence for sentence in said[0][1])
    assert [sentence.replace(str(pack), str(folder)) for sentence in said[0][1]] == said[1][1]


def test_complete_packed_runs_are_welcome(tmp_path, capsys):
    """Their method is the one that is here, their commit a clean one."""
    pipeline = a_build(tmp_path / "build", torch=version("torch"), git_commit="c" * 40)
    pack = pack_of(pipeline)
    code, found = check(pack, tmp_path / "results", capsys)
    assert (code, found) == (0, [f"{pack}: 4 runs of 2 arms, complete, of this version, and nobody's copies"])
