"""Records into three tables:  python -m normbench.execution.collect --root build/quick

runs.parquet has one row per run and metric, curves.parquet one per run, metric and step, probes.parquet one per run, layer and
quantity; speed.csv has what of an arm never repeats exactly. columns.py describes every column. Each record is read once its hash
is the indexed one.
"""

import argparse
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from normbench.config.spec import canonical
from normbench.config.tasks import read_task
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import read_json, whole_file
from normbench.execution.columns import CURVES, PROBES, RUNS, SPEED, names
from normbench.execution.records import Record, read_record, sha256
from normbench.execution.tables import table_of, write_table
from normbench.execution.throughput import speed_rows
from normbench.execution.unfinished import NAME as UNFINISHED
from normbench.execution.unfinished import find_unfinished, write_unfinished
from normbench.planning.folders import SHORT, Folders
from normbench.planning.marks import write_mark
from normbench.planning.plan import Plan


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--plan", help="the id of the plan that the runs were made for")
    parser.add_argument("--done", type=Path, help="the mark that says what was made (normbench/planning/marks.py); those of other plans go")
    args = parser.parse_args()
    plan = Plan.read(args.root)
    if args.plan and plan.digest[:SHORT] != args.plan:
        raise InputError(
            f"{args.root / 'plan.json'}: is not the plan that these runs were made for (another command on this build has written it "
            "meanwhile); run the same command again, it goes on from here"
        )
    folders = Folders.of(args.root)
    records = read_records(folders, plan.arms)
    write_tables(records, args.root, plan)
    write_unfinished(args.root, [])
    if args.done:  # the tables hold the runs of one plan
        for other in args.done.parent.glob("*.json"):
            other.unlink()
    files = [args.root / name for name in (*(table.path for table in (RUNS, CURVES, PROBES, SPEED)), UNFINISHED)]
    write_mark(args.done, args.root, files, plan=plan.digest, runs=len(records))


def write_tables(records: list[Record], root: Path, plan: Plan) -> None:
    """runs, curves and probes as parquet files, speeds as CSV."""
    write_table(table_of((row for record in records for row in run_rows(record, plan)), RUNS), root, RUNS)
    write_table(table_of((row for record in records for row in curve_rows(record)), CURVES), root, CURVES)
    write_table(table_of((row for record in records for row in probe_rows(record)), PROBES), root, PROBES)
    with whole_file(root / SPEED.path) as file:
        table_of(speed_rows(records), SPEED).write_csv(file)


def collect_complete(folders: Folders, plan: Plan, complete: Collection[str], output: Path, ended: bool) -> int:
    """Write the tables of what is `complete` among the plan's arms, and unfinished.csv of the others; returns how many these are.

    ended: see `find_unfinished`. Records are left alone; an arm with one that was changed counts as unfinished.
    """
    kept = {arm: None for arm in complete if not _changed(folders, arm)}
    write_tables(read_records(folders, kept), output, plan)
    others = find_unfinished(folders, plan, [arm for arm in plan.arms if arm not in kept], ended)
    write_unfinished(output, others)
    return len(others)


def _changed(folders: Folders, arm: str) -> bool:
    """Whether a record of the arm is not the one that its index was written for."""
    return any(sha256(folders.record(run)) != entry["sha256"] for run, entry in read_json(folders.index(arm))["records"].items())


def read_records(folders: Folders, arms: Iterable[str]) -> list[Record]:
    """All records of these arms, which are complete, in the order of their runs."""
    records = []
    for arm in arms:
        index = read_json(folders.index(arm))
        for run, entry in sorted(index["records"].items()):
            path = folders.record(run)
            if sha256(path) != entry["sha256"]:
                folders.index(arm).unlink()
                aside = path.replace(path.with_suffix(".changed"))
                raise InputError(
                    f"{path}: was changed after it was written; it is {aside.name} now, and `snakemake all` makes the record anew"
                )
            records.append(read_record(path))
    _check_seeds(records)
    return records


def _check_seeds(records: list[Record]) -> None:
    """Two seeds of an arm with one and the same training are one run counted twice."""
    seen: dict[str, Record] = {}
    for record in records:
        curve = record.curves.get("train_loss", [])
        if len({value for _, value in curve}) > 1:  # one that stands still, as a network does that emits nothing, tells nothing
            first = seen.setdefault(canonical([record.arm, curve]), record)
            if first is not record:
                raise InputError(
                    f"records/{record.run}.json: its training loss is that of {first.run} at every step, to the last digit, "
                    "and seeds differ: one is a copy; remove one of the two and run `snakemake all` again"
                )


def run_rows(record: Record, plan: Plan) -> list[dict]:
    """One row per metric, with what the plan calls the run.

    A run without any metric (it diverged before it could be measured, say) has one row, whose metric is "status".
    """
    spec, metrics = record.spec, read_task(record.spec["task"]).metrics
    shared = {
        "run": record.run,
        "task": spec["task"],
        "dataset": spec["dataset"],
        "model": canonical(spec["model"]),
        "method": spec["method"],
        "params": canonical(spec["params"]),
        "recipe": canonical(spec["recipe"]),
        **plan.called(record.arm),
        **record.model_dump(include={"arm", "seed", "tier", "status", "n_parameters", "seconds", "peak_memory_bytes", "method_sha256"}),
        **record.model_dump(include={"data_sha256", "git_commit", "torch", "device", "engine"}),
    }
    rows = [{**shared, "metric": name, "value": value, "unit": metrics[name].unit} for name, value in sorted(record.metrics.items())]
    return rows or [{**shared, "metric": "status", "value": None, "unit": ""}]


def curve_rows(record: Record) -> Iterator[tuple]:
    """(run, step, metric, value) of every point, metric by metric."""
    return ((record.run, step, metric, value) for metric, points in sorted(record.curves.items()) for step, value in points)


def probe_rows(record: Record) -> Iterator[tuple]:
    """(run, layer, k, depth, quantity, value) of every probe; what it does not say is empty."""
    return ((record.run, *(row.get(name) for name in names(PROBES)[1:])) for row in record.probes)


if __name__ == "__main__":
    sys.exit(main())
