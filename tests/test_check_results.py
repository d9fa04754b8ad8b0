"""What check_results finds in a tier: every kind of damage by its sentence, and nothing where nothing is wrong."""

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from published_samples import DRAWN, edit, make_tier

from normbench.config.code_hash import code_of_run, files_of_run
from normbench.dataset import checksums, derived, value_faults
from normbench.dataset.check_results import changes
from normbench.dataset.recomputed import differences
from normbench.dataset.run_faults import problems
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.planning.plan import Plan

pytestmark = pytest.mark.slow

TOP1 = pl.col("metric") == "test_top1"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A tier where all is right."""
    with pytest.MonkeyPatch.context() as patch:
        for name, made in DRAWN.items():
            patch.setitem(derived.MADE, name, made)
        return make_tier(tmp_path_factory.mktemp("check"))


@pytest.fixture
def tier(whole, tmp_path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(whole, tmp_path / "quick"))


def a_run(root: Path) -> dict:
    """The first run that has a test_top1 and a curve."""
    shown = pl.read_parquet(root / CURVES.path).filter(pl.col("metric") == "train_loss")["run"]
    return pl.read_parquet(root / RUNS.path).filter(TOP1 & pl.col("run").is_in(shown.implode())).row(0, named=True)


def one(run: str, **changes):
    """A change of the run's test_top1 row alone."""
    chosen = (pl.col("run") == run) & TOP1
    return lambda runs: runs.with_columns(pl.when(chosen).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in changes.items())


def every(run: str, **changes):
    """A change of all of the run's rows."""
    chosen = pl.col("run") == run
    return lambda runs: runs.with_columns(pl.when(chosen).then(pl.lit(v)).otherwise(pl.col(k)).alias(k) for k, v in changes.items())


def twice(run: str, **changes):
    """The run's test_top1 row once more, otherwise."""
    chosen = (pl.col("run") == run) & TOP1
    return lambda runs: pl.concat([runs, runs.filter(chosen).with_columns(pl.lit(v).alias(k) for k, v in changes.items())])


@pytest.mark.slow
def test_nothing_is_wrong_with_what_the_line_leaves(whole):
    assert problems(whole) == []


def test_a_run_that_finished_without_any_metric_has_probes():
    row = {"run": "a-s0", "metric": "status", "value": None, "status": "finished", "task": "propagation", "unit": ""}
    runs = pl.DataFrame([row], schema_overrides={"value": pl.Float64})
    assert value_faults._metrics(Path("runs.parquet"), runs, pl.Series("run", ["a-s0"])) == []
    (says,) = value_faults._metrics(Path("runs.parquet"), runs, pl.Series("run", ["b-s0"]))
    assert says == "runs.parquet: a-s0: status is not a number, and the status finished does not say why"


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda r: one(r["run"], value=100.5), "{run}: test_top1 is 100.5, outside its range 0..100"),
        (lambda r: one(r["run"], value=float("nan")), "{run}: test_top1 is not a number, and the status finished does not say why"),
        (lambda r: one(r["run"], value=float("inf")), "{run}: value is inf; a number is finite, or its row is not there"),
        (lambda r: one(r["run"], unit="AP"), "{run}: test_top1 is in 'AP', and tasks/imagenet/task.yaml has it in '%'"),
        (lambda r: one(r["run"], metric="top1"), "{run}: top1 is no metric of tasks/imagenet/task.yaml"),
        (lambda r: twice(r["run"], value=1.25), "{run}: test_top1 is claimed twice, as {value:.10g} and 1.25"),
        (lambda r: twice(r["run"]), "{run}: test_top1 stands 2 times"),
        (lambda r: twice(r["run"], metric="best_test_top1x", seconds=9.0), "{run}: is claimed twice: its seconds is 1.5 and 9"),
        (lambda r: every(r["run"], status="done"), "{run}: the status 'done' is none of finished, diverged, refused"),
        (lambda r: every(r["run"], torch="2.15.0"), "{run}: a record from another version: its torch is 2.15.0, and most runs of"),
        (
            lambda r: every(r["run"], method_sha256="f" * 64),
            "its method_sha256 is ffffffffffff..., and most runs of {method} have aaaaaaaaaaaa",
        ),
        (lambda r: every(r["run"], method="none"), "{run}: its method is none, and plan.json says {method}"),
        (lambda r: every(r["run"], arm="other"), "{run}: is of the arm other, which plan.json does not have: a record from another"),
        (lambda r: every(r["run"], tier="gpu"), "holds runs of the tier gpu, and plan.json is of quick"),
        (lambda r: lambda runs: runs.filter(pl.col("run") != r["run"]), "{arm}: lacks the seed {seed} (it needs 0, 1 and 2)"),
        (lambda r: lambda runs: runs.drop("engine"), "is of another version: it lacks the column 'engine'"),
        (lambda r: lambda runs: runs.with_columns(pl.col("seed").cast(pl.String)), "the column 'seed' holds String, not integer values"),
    ],
)
def test_damaged_runs_are_named(tier, change, says):
    run = a_run(tier)
    edit(tier, RUNS, change(run))
    found = problems(tier)
    assert any(says.format(**run) in sentence and sentence.startswith(str(tier / RUNS.path)) for sentence in found), found


def test_damaged_curves_and_probes_are_named(tier):
    run = a_run(tier)
    twin = run["run"][:-1] + ("1" if run["run"].endswith("0") else "0")
    curves, mine = pl.read_parquet(tier / CURVES.path), pl.col("run") == run["run"]
    copied = curves.filter(mine).with_columns(run=pl.lit(twin))
    strange = curves.filter(mine).with_columns(run=pl.lit("nobody-s0"))
    resumed = curves.filter(mine & (pl.col("metric") == "weight_norm"))
    curves.filter(pl.col("run") != twin).vstack(copied).vstack(strange).vstack(resumed).write_parquet(tier / CURVES.path)
    edit(tier, PROBES, lambda probes: probes.with_columns(value=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("value")))
    found = problems(tier)
    first, second = sorted([run["run"], twin])
    for says in (
        f"{tier / CURVES.path}: {first} and {second} have the same training loss at every step, and seeds differ: all but one are copies",
        f"{tier / CURVES.path}: nobody-s0: runs.parquet has no such run",
        f"{tier / CURVES.path}: {run['run']}: weight_norm has {len(resumed)} steps twice",
        f"{tier / PROBES.path}: value is empty in 1 row, of ",
    ):
        assert any(sentence.startswith(says) for sentence in found), (says, found)
    assert len(found) == 4


def test_what_is_recomputed_is_judged_by_the_tiers_own_copy_of_the_papers(tier):
    """A tier that was published before papers/ changed stays what its runs give; what changed its copy shows."""
    paper = tier / "papers" / "rescalenet.yaml"
    text = paper.read_text()
    claims = {c.id: c for c in Plan.read(tier).papers["rescalenet"].claims}
    assert "margin: 1" in text and claims
    paper.write_text(re.sub(r"margin: [0-9.]+", "margin: 77", text))
    found = differences(tier)
    assert any("claims.csv" in sentence and "'77'" in sentence for sentence in found), found


def test_a_plan_that_was_changed_by_hand_is_named(tier):
    plan = json.loads((tier / "plan.json").read_text())
    arm = next(iter(plan["arms"]))
    plan["arms"][arm]["spec"]["recipe"]["lr"] = 123.0
    (tier / "plan.json").write_text(json.dumps(plan))
    found = problems(tier)
    assert sum(all(fact in sentence for fact in (str(tier / "plan.json"), arm, "changed by hand")) for sentence in found) == 1
    assert all(arm in sentence for sentence in found)  # its runs say another recipe now, and nothing else is wrong
    (tier / "plan.json").unlink()
    assert "plan.json: is missing or broken" in problems(tier)[0]


@pytest.mark.slow
def test_edited_verdicts_cells_and_texts_are_named(tier):
    claims = (tier / "claims.csv").read_text()
    (tier / "claims.csv").write_text(claims.replace(",not run,", ",supported,", 1))
    table = sorted((tier / "tables" / "rescalenet").glob("*.csv"))[0]
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[1].replace(",measured,", ",diverged,"), *lines[3:]]) + "\n")
    markdown = table.with_suffix(".md")
    markdown.write_text(markdown.read_text().replace("n 3", "n 5", 1))
    table.with_name("added.md").write_text("a table of nobody's\n")
    found = differences(tier)
    assert any(re.search(r"claims\.csv: rescalenet / \S+: verdict is 'supported', and the runs give 'not run'", s) for s in found), found
    assert any(s.startswith(f"{table}: ") and s.endswith(": is missing") for s in found), found
    assert any(s.startswith(f"{markdown}, line ") and "n 5" in s and "and the runs give" in s for s in found), found
    assert f"{table.with_name('added.md')}: comes of nothing: no paper in plan.json has it" in found
    damaged = ("claims.csv: ", f"{table.name}: ", f"{markdown.name}, line ", "added.md: ")
    assert all(any(f"/{place}" in sentence for place in damaged) for sentence in found), found  # and nothing else is


def test_every_file_has_its_hash(tier):
    checksums.write_sums(tier)
    assert checksums.problems(tier) == []
    (tier / "claims.csv").write_text("paper\n")
    (tier / "prediction.csv").unlink()
    (tier / "notes.txt").write_text("mine")
    assert checksums.problems(tier) == [
        f"{tier / 'prediction.csv'}: is missing, and SHA256SUMS lists it",
        f"{tier / 'notes.txt'}: is not in SHA256SUMS: it was added by hand",
        f"{tier / 'claims.csv'}: was changed after it was published (its hash is not the one in SHA256SUMS)",
    ]


def test_the_files_that_changed_since_a_tier_was_made_are_named():
    pair = ("imagenet", "skipinit")
    now, files = code_of_run(*pair), files_of_run(*pair)
    made = {
        "tasks": {"imagenet": now["task"], "cost": "t"},
        "methods": {"skipinit": now["method"]},
        "files": {**files, "tasks/cost/adapter.py": "c"},
    }
    assert changes(made, [pair]) == []
    edited = {**made, "tasks": {"imagenet": "other"}, "files": {**made["files"], "tasks/images/batches.py": "other"}}
    assert changes(edited, [pair]) == ["tasks/images/batches.py"]
    assert changes({**edited, "files": made["files"]}, [pair]) == ["tasks/imagenet"]
    for old in ({"library": "l", "tasks": {"imagenet": "t"}, "methods": {"skipinit": "m"}}, {}):
        assert changes(old, [pair]) == ["methods/skipinit.py", "tasks/imagenet"]
