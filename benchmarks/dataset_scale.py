"""Verdicts, tables and the page from as many runs as somebody may publish: seconds and memory, and whether they grow in proportion.

    python -m benchmarks.dataset_scale [--runs 100000] [--points 100]

Makes invented results of the laptop tier's arms, with as many seeds of each as that takes and `points` points of curve a
run, at a quarter, a half and all of it. Each stage is a process of its own, as in the workflow, one after the other and
restricted to two cores. Figures, which do not grow with seeds, are left out. Writes build/benchmarks/dataset_scale.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from normbench.config.spec import canonical
from normbench.config.tasks import read_task
from normbench.core.files import write_json
from normbench.dataset.derived import MADE
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan

TIER = "laptop"
SEED = 0
CURVES = ("train_loss", "headline", "weight_norm")
PROBED = ("variance_init", "variance", "gradient_norm")
BLOCKS = 8  # of a network that probes look at
STAGES = ("claims", "tables", "prediction", "report")


class Words:
    """A column of text as it grows: codes, and what they stand for."""

    def __init__(self):
        self.known: dict[str, int] = {}
        self.codes: list[np.ndarray] = []

    def add(self, words: list[str], times: int | np.ndarray) -> None:
        """Each of the words, in turn, `times` times, or as often as its place in an array says."""
        codes = [self.known.setdefault(word, len(self.known)) for word in words]
        self.codes.append(np.repeat(np.array(codes, dtype=np.int32), times))

    def array(self) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.concatenate(self.codes)), pa.array(list(self.known)))


def make(root: Path, plan: Plan, runs: int, points: int) -> int:
    """root with plan.json and the three parquet files; returns how many runs they hold."""
    root.mkdir(parents=True)
    plan.only(set(plan.selected)).write(root)
    write_json(root / "figures" / "figures.json", [])
    seeds, rng = -(-runs // len(plan.arms)), np.random.default_rng(SEED)
    texts, numbers, curves, probes = {}, {}, {}, {}
    for arm, spec in plan.arms.items():
        names = [f"{arm}-s{seed}" for seed in range(seeds)]
        task = read_task(spec.task)
        level, lost = rng.uniform(30, 90), np.arange(seeds) % 50 == 7
        metrics = [name for name in task.metrics if name != "status"]
        values = level + rng.normal(0, 2, (seeds, len(metrics)))
        for i, name in enumerate(metrics):
            told = task.metrics[name]
            if (told.high is not None and told.high <= 1) or told.unit != "%":
                values[:, i] = np.abs(values[:, i]) / 100
        values[lost, 0] = np.nan  # a diverged run has one row, and no metric in it
        there = np.ones(values.shape, bool)
        there[lost, 1:] = False
        times = there.sum(axis=1)
        told = [name for gone in lost for name in (["status"] if gone else metrics)]
        words = {
            "run": names,
            "task": [spec.task],
            "dataset": [spec.dataset],
            "model": [canonical(spec.model)],
            "method": [spec.method],
            "params": [canonical(spec.params)],
            "arm": [arm],
            "tier": [TIER],
            "method_sha256": ["a" * 64],
            "data_sha256": ["b" * 64],
            "git_commit": ["c" * 40],
            "torch": ["2.14.1"],
            "device": ["cpu"],
            "engine": ["torch 2.14.1"],
        }
        for key, column in words.items():
            texts.setdefault(key, Words()).add(column, times if len(column) > 1 else int(times.sum()))
        units = {name: task.metrics[name].unit for name in metrics}
        for key, column in {"metric": told, "unit": [units.get(name, "") for name in told]}.items():
            texts.setdefault(key, Words()).add(column, 1)
        texts.setdefault("status", Words()).add(["diverged" if gone else "finished" for gone in lost], times)
        shared = {"seed": np.arange(seeds), "n_parameters": np.full(seeds, 1000), "seconds": rng.uniform(1, 2, seeds)}
        for key, column in {**shared, "peak_memory_bytes": np.full(seeds, 2**28)}.items():
            numbers.setdefault(key, []).append(np.repeat(column, times))
        numbers.setdefault("value", []).append(values[there])
        _curves(curves, names, task.headline, points, rng)
        _probes(probes, names, rng)
    table = {key: column.array() for key, column in texts.items()} | {key: np.concatenate(parts) for key, parts in numbers.items()}
    pq.write_table(pa.table(table), root / "runs.parquet")
    pq.write_table(_table(curves), root / "curves.parquet")
    pq.write_table(_table(probes), root / "probes.parquet")
    return seeds * len(plan.arms)


def _curves(into: dict, names: list[str], headline: str, points: int, rng: np.random.Generator) -> None:
    """Falling losses, rising accuracies, each run's own."""
    each = points // len(CURVES)
    steps = np.linspace(1, 300, each).astype(int)
    into.setdefault("run", Words()).add(names, each * len(CURVES))
    into.setdefault("metric", Words()).add([*list(CURVES[:1]), headline, *list(CURVES[2:])], each)
    into["metric"].codes[-1] = np.tile(into["metric"].codes[-1], len(names))
    into.setdefault("step", []).append(np.tile(steps, len(CURVES) * len(names)))
    speed = rng.uniform(20, 80, (len(names), 1))
    lines = np.stack([2.3 * np.exp(-steps / speed), 90 * (1 - np.exp(-steps / speed)), 20 + steps / speed], axis=1)
    into.setdefault("value", []).append(lines.ravel())


def _probes(into: dict, names: list[str], rng: np.random.Generator) -> None:
    into.setdefault("run", Words()).add(names, len(PROBED) * BLOCKS)
    into.setdefault("layer", Words()).add([f"layer{k}.join" for k in range(1, BLOCKS + 1)] * len(PROBED) * len(names), 1)
    into.setdefault("quantity", Words()).add(list(PROBED) * len(names), BLOCKS)
    into.setdefault("k", []).append(np.tile(np.arange(1, BLOCKS + 1), len(PROBED) * len(names)))
    into.setdefault("depth", []).append(np.full(len(names) * len(PROBED) * BLOCKS, BLOCKS))
    into.setdefault("value", []).append(np.exp(rng.normal(0, 1, len(names) * len(PROBED) * BLOCKS)))


def _table(columns: dict) -> pa.Table:
    return pa.table({key: c.array() if isinstance(c, Words) else np.concatenate(c) for key, c in columns.items()})


def stage(name: str, root: Path) -> tuple[float, float, float]:
    """(seconds, seconds of a processor, MiB at most) of one of the workflow's commands."""
    module, arguments, _ = MADE[name]
    command = [sys.executable, "-m", module, "--root", str(root)]
    command += [word if word.startswith("--") else str(root / word) for word in arguments]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--parts", type=int, nargs="+", default=[4, 2, 1], help="measure this part of the runs, and that, ...")
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    plan, results = make_plan(TIER, Selection()), []
    for runs in (args.runs // part for part in args.parts):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name) / TIER
            runs = make(root, plan, runs, args.points)
            found = {one: stage(one, root) for one in STAGES}
            size = (root / "report.html").stat().st_size / 1e6
        result = {"runs": runs, "curve_points": runs * (args.points // len(CURVES)) * len(CURVES), "report_megabytes": size}
        result |= {key: {k: v[i] for k, v in found.items()} for i, key in enumerate(("seconds", "processor_seconds", "mebibytes"))}
        results.append(result)
        times = ", ".join(f"{one} {wall:.1f} s ({busy:.1f} busy, {memory:.0f} MiB)" for one, (wall, busy, memory) in found.items())
        wall, busy = (sum(v[i] for v in found.values()) for i in (0, 1))
        points = result["curve_points"]
        print(f"{runs} runs, {points} points: {wall:.1f} s, {busy:.1f} busy: {times}; the page has {size:.1f} MB", flush=True)
    write_json(Path("build/benchmarks/dataset_scale.json"), {"arms": len(plan.arms), "results": results})


if __name__ == "__main__":
    main()
