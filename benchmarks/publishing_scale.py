"""Checking and publishing as many runs as somebody may bring: processor seconds and memory.

    python -m benchmarks.publishing_scale [--runs 100000] [--points 100]

On the invented results of dataset_scale.py: what check_results looks for in the runs, what publish does to keep the times of runs
that are published already (the same ones, on another day), writing the tables, and every file's hash.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.dataset_scale import TIER, make
from normbench.dataset.checksums import write_sums
from normbench.dataset.merging import merged
from normbench.dataset.run_faults import problems
from normbench.execution.columns import RUNS
from normbench.execution.tables import PARQUET, read_table, read_tables, write_table
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan


def measured(what: str, work: Callable):
    """What `work` returns; its processor seconds and the process's largest memory so far are printed."""
    began = time.process_time()
    result = work()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {time.process_time() - began:.1f} s, {memory:.0f} MiB at most so far", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, published = Path(name) / "build" / TIER, Path(name) / "results" / TIER
        runs = make(root, make_plan(TIER, Selection()), args.runs, args.points)
        print(f"{runs} runs, {len(read_table(root, PARQUET[1]))} points, {len(read_table(root, RUNS))} rows of runs")
        tables = measured("read", lambda: read_tables(root))
        measured("write", lambda: [write_table(tables[file.name], published, file) for file in PARQUET])
        Plan.read(root).write(published)
        other = tables["runs"].with_columns(seconds=pl.col("seconds") * 2).sample(fraction=1, shuffle=True, seed=0)
        write_table(other, root, RUNS)
        del other
        measured("keep the times", lambda: merged(root, published))
        measured("hashes", lambda: write_sums(published))
        found = measured("problems", lambda: problems(published))
        print(f"{len(found)} sentences: seeds, statuses and values are invented")


if __name__ == "__main__":
    main()
