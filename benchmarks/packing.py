"""Packing the records of thousands of runs, and taking them up in an empty build: seconds of each.

    python -m benchmarks.packing [--runs 5000]

Records of the laptop tier's arms with the published runs' metrics, curves and probes, repeated under more seeds. A pack is written from one
build and taken up by another on the same disk. Writes build/benchmarks/packing.json.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl

from normbench.config.code_hash import code_of_arm
from normbench.config.spec import run_id
from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.dataset.pack import finished, write_pack
from normbench.dataset.take_up import take_up
from normbench.execution.index import write_index
from normbench.execution.records import Record
from normbench.execution.tables import read_tables
from normbench.planning.folders import Folders
from normbench.planning.make import make_plan
from normbench.planning.offers import read_offers
from normbench.planning.pipeline import Pipeline, arm_content
from normbench.planning.plan import Plan

TIER = "laptop"
SITES = ("norm", "weight", "activation", "join")


def widened(runs: int, arms: set[str]) -> Plan:
    """The tier's plan of these arms, with as many seeds of each as it takes."""
    plan = make_plan(TIER)
    plan = plan.only(arms & plan.arms.keys())
    seeds = tuple(range(-(-runs // len(plan.arms))))
    plan.efforts = {arm: replace(effort, seeds=seeds) for arm, effort in plan.efforts.items()}
    return plan


def published() -> dict[str, list[dict[str, Any]]]:
    """Arm -> what its published runs have of a record."""
    tables = read_tables(ROOT / "results" / TIER)
    parts = {name: {run: rows for (run,), rows in table.group_by("run")} for name, table in tables.items()}
    found: dict[str, list[dict[str, Any]]] = {}
    for run, rows in sorted(parts["runs"].items()):
        probes = parts["probes"][run].drop("run").to_dicts() if run in parts["probes"] else []
        curves: dict[str, list[tuple[int, float]]] = {}
        for _, step, metric, value in parts["curves"][run].iter_rows() if run in parts["curves"] else ():
            curves.setdefault(metric, []).append((step, value))
        first = rows.row(0, named=True)
        values = rows.filter(pl.col("value").is_not_null()).select("metric", "value").iter_rows()
        same = {key: first[key] for key in ("status", "n_parameters", "seconds", "method_sha256", "data_sha256", "torch", "device")}
        found.setdefault(first["arm"], []).append(
            {**same, "metrics": dict(values), "curves": curves, "probes": probes, "sites": sites(probes)}
        )
    return found


def sites(probes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """About what a record lists of a network with these blocks."""
    layers = dict.fromkeys((row["layer"], row["k"], row["depth"]) for row in probes)
    about = {"features": 16, "layout": "NCHW", "module": "BatchNorm", "neighbor": "layer1.0.conv1"}
    return [{"kind": kind, "name": f"{name}.{kind}", "k": k, "depth": depth, **about} for name, k, depth in layers for kind in SITES]


def make(plan: Plan, folders: Folders, of: dict[str, list[dict[str, Any]]]) -> int:
    """A build of all runs of the plan; the bytes of its records."""
    size = 0
    for arm, spec in plan.arms.items():
        made_of = {"arm": arm, "tier": TIER, "spec": asdict(spec), "code": code_of_arm(spec), "git_commit": "c" * 40}
        for seed in plan.seeds(arm):
            record = Record(run=run_id(arm, seed), seed=seed, **made_of, **of[arm][seed % len(of[arm])])
            path = folders.record(record.run)
            path.parent.mkdir(parents=True, exist_ok=True)
            size += path.write_bytes(record.model_dump_json().encode() + b"\n")
        write_index(folders, arm_content(plan, arm))
    return size


def timed(work: Callable) -> tuple[Any, tuple[float, float]]:
    """(what `work` returns, seconds by the clock and of a processor)."""
    began = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - began[0], time.process_time() - began[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5000)
    args = parser.parse_args()
    of = published()
    plan = widened(args.runs, set(of))
    with tempfile.TemporaryDirectory() as name:
        source, other = (Folders(Path(name) / build, TIER) for build in ("source", "other"))
        size = make(plan, source, of)
        pack, packing = timed(lambda: write_pack(finished(plan, source), source, Path(name)))
        offers, looking = timed(lambda: read_offers([pack], plan, other, ()))
        pipeline = Pipeline(plan, other, Path(name), "", {}, offers.complete, True, offers)
        _, taking = timed(lambda: take_up(pipeline))
        packed = pack.stat().st_size
    result = {"runs": len(offers.new), "record_bytes": size, "pack_bytes": packed}
    spent = {"packed": packing, "looked at": looking, "taken up": taking}
    result |= {
        "seconds": {what: wall for what, (wall, _) in spent.items()},
        "processor_seconds": {what: busy for what, (_, busy) in spent.items()},
    }
    told = ", ".join(f"{what} in {wall:.1f} s ({busy:.1f} s of a processor)" for what, (wall, busy) in spent.items())
    print(f"{len(offers.new)} runs, {size / 1e6:.0f} MB of records, {packed / 1e6:.0f} MB packed")
    print(told)
    write_json(Path("build/benchmarks/packing.json"), result)


if __name__ == "__main__":
    main()
