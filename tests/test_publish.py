"""Publishing: described, checked and loadable; again on another day nothing changes but what changed; the version counts itself."""

import csv
import json
import shutil
from pathlib import Path

import frictionless
import polars as pl
import pytest
import yaml
from facts import mistake
from published_samples import DRAWN, cited, edit, files, make_tier

from normbench.analysis import ledger, prediction
from normbench.core.schema import ROOT
from normbench.dataset import croissant, datapackage, derived, sampled
from normbench.dataset.check_results import misdescribed
from normbench.dataset.citation import read_citation, write_version
from normbench.dataset.columns import CELLS, CLAIMS, PREDICTION, TABLES
from normbench.dataset.merging import merged
from normbench.dataset.publish import publish
from normbench.dataset.version import bumped, change
from normbench.execution.columns import CURVES, PROBES, RUNS, names
from normbench.execution.tables import read_table
from normbench.reporting.tables import Cell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def stubs():
    with pytest.MonkeyPatch.context() as patch:
        for name, made in DRAWN.items():
            patch.setitem(derived.MADE, name, made)
        yield


@pytest.fixture(scope="module")
def build(tmp_path_factory, stubs) -> Path:
    return make_tier(tmp_path_factory.mktemp("publish") / "build")


@pytest.fixture(scope="module")
def results(build) -> Path:
    """What a first `snakemake publish` leaves."""
    cited(build.parent.parent)
    publish(build, build.parent.parent / "results", build.parent.parent / "CITATION.cff")
    return build.parent.parent / "results"


@pytest.fixture
def again(build, results, tmp_path) -> tuple[Path, Path]:
    """Copies of the build and of what was published of it, to change one and publish it over the other."""
    shutil.copytree(build.parent, tmp_path / "build")
    shutil.copytree(results, tmp_path / "results")
    cited(tmp_path)
    return tmp_path / "build" / "quick", tmp_path / "results"


def left_as(build: Path, root: Path, names: tuple[str, ...]) -> None:
    """Stands for what is derived of other runs, where a test is about the runs."""
    for path in (derived.MADE[name][2] for name in names):
        copy = shutil.copytree if (build / path).is_dir() else shutil.copyfile
        copy(build / path, root / path)


def test_every_column_of_every_file_is_described():
    assert names(CLAIMS) == ledger.COLUMNS and names(PREDICTION) == prediction.columns()
    assert names(CELLS) == [field for field in Cell.__dataclass_fields__]


def test_what_is_published_says_what_it_is(build, results):
    tier = results / "quick"
    assert {path.name for path in results.iterdir()} == {"quick", "README.md", "datapackage.json", "croissant.json"}
    assert files(tier).keys() >= {"plan.json", "report.html", "figures/figures.json", "SHA256SUMS", *(f.path for f in TABLES[:5])}
    assert (tier / "plan.json").read_bytes() == (build / "plan.json").read_bytes()
    for file in (RUNS, CURVES, PROBES):
        assert read_table(tier, file).equals(read_table(build, file))
    card = (results / "README.md").read_text()
    for file in TABLES:
        assert f"### {file.path}" in card
        for column in file.columns:
            assert f"| {column.name} | {column.type}" in card and f"| {column.unit} | {column.says}" in card, column
    for words in ("Version 1.0.0", "CC BY 4.0", "Major", "The NormBench developers: NormBench: results, version 1.0.0", "| box_ap |"):
        assert words in card, words


def test_frictionless_accepts_every_row_and_would_not_accept_a_wrong_one(results, tmp_path):
    package = frictionless.Package(str(results / "datapackage.json"))
    assert package.version == "1.0.0" and package.licenses[0]["name"] == "CC-BY-4.0"
    assert {r.name for r in package.resources} >= {"quick-runs", "quick-curves", "quick-probes", "quick-claims", "quick-report"}
    assert package.get_resource("quick-claims").schema.field_names == names(CLAIMS)
    shutil.copytree(results, tmp_path / "results")
    claims_csv = tmp_path / "results" / "quick" / "claims.csv"
    claims_csv.write_text(claims_csv.read_text().replace(",not run,", ",not known,", 1))
    path = str(tmp_path / "results" / "datapackage.json")
    wrong = frictionless.Package(path).get_resource("quick-claims").validate()
    assert not wrong.valid and {"constraint-error"} <= {error.type for error in wrong.tasks[0].errors}
    assert package.get_resource("quick-claims").validate().valid


def test_croissant_gives_the_records_that_the_files_hold(results):
    path = results / "croissant.json"
    croissant.check(path)
    runs = read_table(results / "quick", RUNS)
    found = list(croissant.records(path, "quick-runs"))
    assert len(found) == len(runs)
    for record, row in zip(found[::97], runs[::97].iter_rows(named=True), strict=True):
        assert record["run"].decode() == row["run"] and record["metric"].decode() == row["metric"]
        assert record["value"] == row["value"] or row["value"] is None
    with open(results / "quick" / "claims.csv", newline="") as file:
        verdicts = [row["verdict"] for row in csv.DictReader(file)]
    assert [record["verdict"].decode() for record in croissant.records(path, "quick-claims")] == verdicts


def test_a_table_of_many_rows_is_checked_on_its_first_ones(results, monkeypatch):
    monkeypatch.setattr(sampled, "ROWS", 50)
    assert len(read_table(results / "quick", CURVES)) > 50
    croissant.check(results / "croissant.json")
    assert datapackage.faults(results / "datapackage.json") == []


def test_on_another_day_with_other_times_every_file_stays_as_it_is(again):
    build, results = again
    before = files(results.parent / "results") | {"cff": (results.parent / "CITATION.cff").read_bytes()}
    days = [pl.col("seconds") * 1.37, pl.col("peak_memory_bytes") + 4096, pl.lit("d" * 40).alias("git_commit")]
    edit(build, RUNS, lambda runs: runs.with_columns(days))
    says = publish(build, results, results.parent / "CITATION.cff")
    assert len(says) == 1 and says[0].startswith(f"published: {results / 'quick'}")
    assert files(results) | {"cff": (results.parent / "CITATION.cff").read_bytes()} == before


@pytest.mark.parametrize("other", [["tasks"], ["methods"], ["library", "tasks", "methods"]], ids=" ".join)
def test_runs_of_other_code_keep_no_times(again, other):
    """The last is the form of older plans, whose hashes are others for equal code."""
    build, results = again
    edit(build, RUNS, lambda runs: runs.with_columns(seconds=pl.col("seconds") + 1))
    published = results / "quick" / "plan.json"
    assert merged(build, results / "quick")["runs"]["seconds"].equals(read_table(results / "quick", RUNS)["seconds"])
    plan = json.loads(published.read_text())
    changed = {part: dict.fromkeys(plan["code"].get(part, ()), "0" * 64) for part in other}
    plan["code"] = changed if "library" in other else plan["code"] | changed
    published.write_text(json.dumps(plan))
    assert merged(build, results / "quick")["runs"]["seconds"].equals(read_table(build, RUNS)["seconds"])


def test_a_run_whose_code_is_in_a_commit_by_now_says_which(again):
    """Otherwise a run that was first made of edited files could never be contributed."""
    build, results = again
    old = pl.read_parquet(results / "quick" / "runs.parquet")
    (run, other) = old["run"].unique(maintain_order=True)[:2]

    def made_of(runs: list[str], commit: str, rest: pl.Expr):
        return lambda table: table.with_columns(pl.when(pl.col("run").is_in(runs)).then(pl.lit(commit)).otherwise(rest).alias("git_commit"))

    edit(results / "quick", RUNS, made_of([run, other], "e" * 40 + "+", pl.col("git_commit")))
    edit(build, RUNS, made_of([other], "f" * 40 + "+", pl.lit("d" * 40)))
    commits = merged(build, results / "quick")["runs"]
    assert set(commits.filter(pl.col("run") == run)["git_commit"]) == {"d" * 40}
    assert set(commits.filter(pl.col("run") == other)["git_commit"]) == {"e" * 40 + "+"}
    rest = commits.filter(~pl.col("run").is_in([run, other])).sort("run", "metric")
    assert rest.equals(old.filter(~pl.col("run").is_in([run, other])).sort("run", "metric"))


def test_one_other_number_changes_its_run_alone_and_the_major_version(again, monkeypatch):
    build, results = again
    was = read_table(results / "quick", RUNS)
    run = was.filter(pl.col("metric") == "test_top1")["run"][0]
    other = (pl.col("run") == run) & (pl.col("metric") == "test_top1")
    edit(build, RUNS, lambda r: r.with_columns(value=pl.when(other).then(pl.lit(50.0)).otherwise("value"), seconds=pl.col("seconds") + 1))
    monkeypatch.setattr("normbench.dataset.publish.make", lambda root, *names: left_as(build, root, names))
    says = publish(build, results, results.parent / "CITATION.cff")
    assert says[1] == f"version 1.0.0 -> 2.0.0: {run} of other numbers"
    now = read_table(results / "quick", RUNS)
    assert set(now.filter(pl.col("seconds") == 2.5)["run"]) == {run}
    assert now.filter(other)["value"].to_list() == [50.0]
    assert read_citation(results.parent / "CITATION.cff").version == "2.0.0"
    software = [yaml.safe_load((folder / "CITATION.cff").read_text())["version"] for folder in (results.parent, ROOT)]
    assert software[0] == software[1]


def test_each_part_of_the_version_has_its_reason(results, tmp_path):
    tier, now = results / "quick", tmp_path / "quick"
    shutil.copytree(tier, now)
    assert change(tier, now) is None
    assert change(tmp_path / "laptop", now) == ("minor", "the tier quick is new")
    sums = (now / "SHA256SUMS").read_text()
    (now / "SHA256SUMS").write_text(sums.replace("  report.html", "0  report.html"))
    assert change(tier, now) == ("patch", "report.html changed")
    table = pl.read_csv(tier / "claims.csv", infer_schema=False)
    row = table.filter((pl.col("verdict") != "not run") & pl.col("margin").is_not_null()).row(0, named=True)
    margin = pl.when(pl.col("claim") == row["claim"]).then(pl.lit("0.123")).otherwise("margin")
    table.with_columns(margin=margin).write_csv(now / "claims.csv")
    assert change(tier, now) == ("major", f"{row['paper']} {row['claim']} has another margin")
    (now / "claims.csv").write_text((tier / "claims.csv").read_text())
    arm = read_table(tier, RUNS)["arm"][0]
    for file in (RUNS, CURVES, PROBES):
        edit(now, file, lambda rows: rows.filter(~pl.col("run").str.starts_with(arm)))
    assert change(tier, now) == ("major", f"3 runs, {arm}-s0 among them, gone")
    plan = json.loads((now / "plan.json").read_text())
    del plan["arms"][arm]
    (now / "plan.json").write_text(json.dumps(plan))
    assert change(now, tier) == ("minor", f"{arm} more")
    place = next(row for row in plan["points"] if row["id"] != arm)
    place["id"] = arm
    (now / "plan.json").write_text(json.dumps(plan))
    assert change(now, tier) == ("major", f"{place['paper']}: {place['arm']} is another run now")


def test_versions_count_up():
    assert [bumped("1.2.3", part) for part in ("major", "minor", "patch")] == ["2.0.0", "1.3.0", "1.2.4"]
    with mistake("version", "'one'", "Major.Minor.Patch", "1.0.0"):
        bumped("one", "major")


def test_wrong_runs_are_not_published_and_what_was_there_stays(again):
    build, results = again
    before = files(results)
    run = read_table(build, RUNS).filter(pl.col("metric") == "test_top1")["run"][0]
    high = (pl.col("run") == run) & (pl.col("metric") == "test_top1")
    edit(build, RUNS, lambda runs: runs.with_columns(value=pl.when(high).then(pl.lit(101.0)).otherwise("value")))
    with mistake(run, "test_top1", "101", "0..100"):
        publish(build, results, results.parent / "CITATION.cff")
    assert files(results) == before


def test_a_publication_that_was_killed_between_its_renames_is_put_back_by_the_next(again):
    build, results = again
    before = files(results)
    (results / ".quick.killed").mkdir()
    (results / "quick").rename(results / ".quick.killed" / "before")
    edit(build, RUNS, lambda runs: runs.with_columns(value=pl.lit(-1.0)))  # so that this one publishes nothing
    with mistake("published"):
        publish(build, results, results.parent / "CITATION.cff")
    shutil.rmtree(results / ".quick.killed")
    assert files(results) == before


def test_a_publication_that_fails_at_its_last_step_leaves_what_was_there(again, monkeypatch):
    build, results = again
    before, rename = files(results / "quick"), Path.rename
    metric = (pl.col("metric") == "test_loss") & (pl.col("seed") == 0)
    edit(build, RUNS, lambda runs: runs.with_columns(value=pl.when(metric).then(pl.col("value") + 1).otherwise("value")))
    monkeypatch.setattr("normbench.dataset.publish.make", lambda root, *names: left_as(build, root, names))

    def full(path: Path, target: Path):
        if target == results / "quick" and path.name == "quick":
            raise OSError("no space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="no space left"):
        publish(build, results, results.parent / "CITATION.cff")
    assert files(results / "quick") == before


def test_descriptions_of_something_else_are_named(again):
    _, results = again
    citation = results.parent / "CITATION.cff"
    assert list(misdescribed(results, citation)) == []
    write_version(citation, "9.9.9")
    (results / "README.md").write_text("mine\n")
    text = (results / "datapackage.json").read_text()
    (results / "datapackage.json").write_text(text.replace('"type": "integer"', '"type": "whole"', 1))
    found = list(misdescribed(results, citation))
    assert found[0] == f"{citation}: the dataset's version is 9.9.9, and {results / 'datapackage.json'} has 1.0.0"
    for name in ("README.md", "datapackage.json"):
        assert f"{results / name}: is not what describes the tiers that are there; `snakemake publish` writes it anew" in found
    assert any("whole" in sentence for sentence in found[3:]), found


def test_the_citation_keeps_its_words_and_says_what_it_lacks(tmp_path):
    path = cited(tmp_path)
    text = path.read_text()
    write_version(path, "3.1.4")
    assert path.read_text() == text.replace("    version: 1.0.0", "    version: 3.1.4") != text
    path.write_text(text.replace("type: dataset", "type: data"))
    with mistake(path, "references", "dataset"):
        read_citation(path)
