"""What must be true of runs, curves and probes by themselves; each thing that is not becomes a sentence. Torch-free.

Whole columns at a time: a hundred thousand runs with ten million points are looked at in seconds.
"""

from pathlib import Path

import polars as pl

from normbench.config.tasks import read_task, task_file, task_names
from normbench.dataset.sentences import cut, short, some, words
from normbench.execution.columns import CURVES, PROBES, RUNS, STATUS, Described

OF_A_RUN = [c.name for c in RUNS.columns if c.name not in ("metric", "value", "unit")]
ONE_OF = {"method_sha256": ["method"], "data_sha256": ["task", "dataset"], "torch": [], "engine": ["task"], "tier": []}
ROUNDING = 1e-6  # of a mean of values that all lie on a bound


def table_problems(root: Path, tables: dict[str, pl.DataFrame]) -> list[str]:
    """What the tables alone tell: rows twice, values without status, ranges, mixtures of versions, copies."""
    runs, place = tables["runs"], root / RUNS.path
    found = [
        *_empty(place, runs, RUNS),
        *_twice(place, runs),
        *_metrics(place, runs, tables["probes"]["run"].unique()),
        *_mixed(place, runs),
        *copies(root / CURVES.path, tables["curves"], runs),
    ]
    for file in (CURVES, PROBES):
        found += _of_runs(root / file.path, tables[file.name], runs)
        found += _empty(root / file.path, tables[file.name], file)
    found += _points_twice(root / CURVES.path, tables["curves"])
    return found


def run_problems(place: Path, runs: pl.DataFrame, probed: pl.Series) -> list[str]:
    """What is wrong with the values of runs, each by itself. probed: the runs that have probes."""
    return [*_empty(place, runs, RUNS), *_metrics(place, runs, probed)]


def _empty(place: Path, frame: pl.DataFrame, file: Described) -> list[str]:
    """Cells that must not be empty; and numbers that are not finite."""
    found = []
    for column in file.columns:
        if column.required and (n := frame[column.name].null_count()):
            run = frame.filter(pl.col(column.name).is_null())["run"].first()
            found.append(f"{place}: {column.name} is empty in {n} row{'s' * (n > 1)}, of {run} for one")
        if column.type == "number":
            infinite = frame.filter(pl.col(column.name).is_infinite())
            found += some(
                infinite,
                lambda r, name=column.name: f"{place}: {r['run']}: {name} is {r[name]}; a number is finite, or its row is not there",
            )
    return found


def _twice(place: Path, runs: pl.DataFrame) -> list[str]:
    """A run and metric stands once, and all of a run's rows agree in what is the run's."""
    rows = runs.filter(pl.struct("run", "metric").is_duplicated())
    several = rows.group_by("run", "metric", maintain_order=True).agg(pl.col("value"))
    found = []
    for run, metric, values in several.iter_rows():
        same = len(set(values)) == 1
        found.append(f"{place}: {run}: {metric} " + (f"stands {len(values)} times" if same else f"is claimed twice, as {words(values)}"))
    each = runs.select(OF_A_RUN).unique(maintain_order=True)
    several = each.filter(pl.col("run").is_duplicated())
    for run, part in several.group_by("run", maintain_order=True):
        for name in OF_A_RUN:
            if part[name].n_unique() > 1:
                found.append(
                    f"{place}: {run[0]}: is claimed twice: its {name} is {words(part[name].unique(maintain_order=True).to_list())}"
                )
    return cut(found)


def _metrics(place: Path, runs: pl.DataFrame, probed: pl.Series) -> list[str]:
    """Each value has a status that explains it, is one of its task's metrics, in its unit and its range.

    probed: runs with probes, which is all that some measure; such a run finished, and its one row has no value.
    """
    found = some(
        runs.filter(~pl.col("status").is_in(STATUS)),
        lambda r: f"{place}: {r['run']}: the status {r['status']!r} is none of {', '.join(STATUS)}",
    )
    unsaid = (pl.col("metric") != "status") | ((pl.col("status") == "finished") & ~pl.col("run").is_in(probed.implode()))
    found += some(
        runs.filter(pl.col("value").is_null() & unsaid),
        lambda r: f"{place}: {r['run']}: {r['metric']} is not a number, and the status {r['status']} does not say why",
    )
    found += some(
        runs.filter(pl.col("value").is_not_null() & (pl.col("metric") == "status")),
        lambda r: f"{place}: {r['run']}: status is no metric and has the value {r['value']:g}",
    )
    for task in runs["task"].unique(maintain_order=True):
        if task not in task_names():
            found.append(f"{place}: the task {task} is not known here: a record from another version")
            continue
        metrics = read_task(task).metrics
        said = pl.DataFrame([{"metric": n, "means": m.unit, "least": m.low, "most": m.high} for n, m in metrics.items()], schema=_SAID)
        rows = runs.filter((pl.col("task") == task) & (pl.col("metric") != "status")).join(said, on="metric", how="left")
        file = task_file(task)
        found += some(rows.filter(pl.col("means").is_null()), lambda r, f=file: f"{place}: {r['run']}: {r['metric']} is no metric of {f}")
        other = rows.filter(pl.col("unit").fill_null("") != pl.col("means"))
        found += some(other, lambda r, f=file: f"{place}: {r['run']}: {r['metric']} is in {r['unit']!r}, and {f} has it in {r['means']!r}")
        room = ROUNDING * pl.max_horizontal(pl.lit(1.0), pl.col("least").abs().fill_null(0), pl.col("most").abs().fill_null(0))
        out = rows.filter((pl.col("value") < pl.col("least") - room) | (pl.col("value") > pl.col("most") + room))
        found += some(
            out, lambda r: f"{place}: {r['run']}: {r['metric']} is {r['value']:g}, outside its range {_range(r['least'], r['most'])}"
        )
    return found


_SAID = {"metric": pl.String, "means": pl.String, "least": pl.Float64, "most": pl.Float64}


def _mixed(place: Path, runs: pl.DataFrame) -> list[str]:
    """One version of everything: of torch in all, of an engine in a task, of a method's file, of a dataset's manifest."""
    found = []
    each = runs.unique("run", keep="first", maintain_order=True)
    for column, of in ONE_OF.items():
        for part in [each] if not of else each.partition_by(of, maintain_order=True):
            counts = part.group_by(column, maintain_order=True).agg(pl.len(), pl.col("run").first()).sort("len", descending=True)
            for value, _, run in counts.rows()[1:]:
                whose = " ".join(part.row(0, named=True)[name] for name in of) or "the others"
                found.append(
                    f"{place}: {run}: a record from another version: its {column} is {short(value)}, "
                    f"and most runs of {whose} have {short(counts[column][0])}"
                )
    return cut(found)


def copies(place: Path, curves: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    """Two seeds of an arm with one and the same training are one run counted twice."""
    points = curves.lazy().filter(pl.col("metric") == "train_loss").with_columns(hash=pl.struct("step", "value").hash(seed=7))
    # Sums of hashes are those of equal points in whatever order. A curve that stands still, as a network's does that emits nothing,
    # tells nothing.
    told = points.group_by("run").agg(pl.col("hash").sum(), pl.len(), pl.col("value").n_unique().alias("distinct"))
    arms = runs.lazy().select("run", "arm").unique("run")
    equal = told.filter(pl.col("distinct") > 1).join(arms, on="run").group_by("arm", "hash", "len").agg(pl.col("run").sort())
    same = equal.filter(pl.col("run").list.len() > 1).sort("arm").collect()
    return some(
        same, lambda r: f"{place}: {words(r['run'])} have the same training loss at every step, and seeds differ: all but one are copies"
    )


def _of_runs(place: Path, frame: pl.DataFrame, runs: pl.DataFrame) -> list[str]:
    strange = frame.select(pl.col("run").unique()).join(runs.select("run"), on="run", how="anti").sort("run")
    return some(strange, lambda r: f"{place}: {r['run']}: runs.parquet has no such run")


def _points_twice(place: Path, curves: pl.DataFrame) -> list[str]:
    """A curve that was written twice, as by a training that was resumed."""
    several = curves.lazy().group_by("run", "metric").agg(pl.len(), pl.col("step").n_unique().alias("steps"))
    wrong = several.filter(pl.col("len") > pl.col("steps")).sort("run", "metric").collect()
    return some(wrong, lambda r: f"{place}: {r['run']}: {r['metric']} has {r['len'] - r['steps']} steps twice")


def _range(low: float | None, high: float | None) -> str:
    return f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
