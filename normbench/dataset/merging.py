"""Runs that are published already keep the times of that day, so that publishing again changes only what changed. Torch-free.

What a machine decides (seconds, memory, speeds, the commit of equal code) differs each time; all else repeats to the last digit.
"""

from pathlib import Path

import polars as pl

from normbench.config.tasks import read_task, readable_tasks
from normbench.core.errors import InputError
from normbench.execution.code_version import COMMIT
from normbench.execution.columns import RUNS, repeating
from normbench.execution.tables import read_tables
from normbench.planning.plan import Plan

Tables = dict[str, pl.DataFrame]


def merged(build: Path, before: Path) -> Tables:
    """The build's tables; a run that is in `before` too, made by the same code with the same numbers, is as it was there."""
    new = read_tables(build)
    try:
        old, plans = read_tables(before), [Plan.read(root) for root in (build, before)]
    except InputError:  # nothing there yet, or of another version: nothing to keep
        return new
    same = same_runs(new, old) & _of_equal_code(new["runs"], *plans)
    same -= _in_no_commit(old["runs"]) - _in_no_commit(new["runs"])  # what is known better now
    return new | {"runs": _with_times_of(new["runs"], old["runs"], same)}


def _in_no_commit(runs: pl.DataFrame) -> set[str]:
    """The runs that were made while files differed from the commit that is named, or that name none."""
    return set(runs.filter(~pl.col("git_commit").fill_null("").str.contains(COMMIT))["run"].unique())


def same_runs(new: Tables, old: Tables) -> set[str]:
    """The runs that both hold, with all that repeats equal: numbers, curves, probes, hashes, versions."""
    changed = differing(without_times(new["runs"]).select(repeating(RUNS)), without_times(old["runs"]).select(repeating(RUNS)))
    for name in ("curves", "probes"):
        changed |= differing(new[name], old[name])
    return (set(new["runs"]["run"].unique()) & set(old["runs"]["run"].unique())) - changed


def without_times(runs: pl.DataFrame) -> pl.DataFrame:
    """The rows of runs with the values emptied that the machine decides."""
    return runs.with_columns(pl.when(_machines()).then(None).otherwise(pl.col("value")).alias("value"))


def differing(a: pl.DataFrame, b: pl.DataFrame) -> set[str]:
    """The runs that have a row in one which the other has not."""
    if a.equals(b):
        return set()
    only = [x.join(y, on=a.columns, how="anti", nulls_equal=True).get_column("run") for x, y in ((a, b), (b, a))]
    return set(pl.concat(only).unique())


def _machines() -> pl.Expr:
    """Whether a row's metric is a time or a speed."""
    found = [(task, name) for task in readable_tasks() for name, metric in read_task(task).metrics.items() if not metric.repeats]
    return pl.any_horizontal([(pl.col("task") == task) & (pl.col("metric") == name) for task, name in found] or [pl.lit(False)])


def _of_equal_code(runs: pl.DataFrame, new: Plan, old: Plan) -> set[str]:
    """The runs whose method and task are hashed alike in both plans. A plan of an older form has other hashes, so that none are."""
    a, b = new.code, old.code
    equal = {part: [n for n, h in a.get(part, {}).items() if b.get(part, {}).get(n) == h] for part in ("tasks", "methods")}
    rows = runs.filter(pl.col("task").is_in(equal["tasks"]) & pl.col("method").is_in(equal["methods"]))
    return set(rows["run"].unique())


def _with_times_of(new: pl.DataFrame, old: pl.DataFrame, same: set[str]) -> pl.DataFrame:
    times = [c.name for c in RUNS.columns if c.again] + ["value"]
    before = old.filter(pl.col("run").is_in(list(same))).select("run", "metric", *times, pl.lit(True).alias("before"))
    both = new.join(before, on=["run", "metric"], how="left", suffix="_before", maintain_order="left")
    was = pl.col("before").fill_null(False)
    return both.select(
        pl.when(was).then(pl.col(f"{name}_before")).otherwise(pl.col(name)).alias(name) if name in times else pl.col(name)
        for name in new.columns
    )
