"""A tier's folder with invented results, as the line would have left it: for tests of what reads one, not of what trains."""

import hashlib
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from normbench.analysis import ledger
from normbench.config.spec import ArmSpec, canonical
from normbench.config.tasks import read_task
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.tables import table_of, write_table
from normbench.planning.make import Selection, make_plan

STEPS = (1, 25, 50, 75, 100)
PROBED = {
    True: ("variance_init", "variance_end", "join_parameter_mean", "join_parameter_max"),
    False: tuple(
        [
            "variance",
            "skip_over_branch",
            "contribution",
            "loss_change",
            "gradient_norm",
            "cosine_similarity",
            "stable_rank",
            "mean_abs_correlation",
            "output",
            "output_behind_relu",
            "gradient_times_scale",
            "weight_gradient_orthogonality",
        ]
    ),
}


def make_build(root: Path, tier: str, papers: tuple[str, ...]) -> Path:
    """root/<tier> with plan.json, the three parquet files and claims.csv. Results depend on nothing but the specs."""
    plan, folder = make_plan(tier, Selection(papers=papers)), root / tier
    folder.mkdir(parents=True)
    plan.only(set(plan.selected)).write(folder)
    runs, curves, probes = [], [], []
    for arm, spec in plan.arms.items():
        for seed in plan.seeds(arm):
            _run(arm, spec, seed, tier, runs, curves, probes)
    runs = [row | plan.called(row["arm"]) for row in runs]
    for file, rows in ((RUNS, runs), (CURVES, curves), (PROBES, probes)):
        write_table(table_of(rows, file), folder, file)
    with mock.patch.object(sys, "argv", ["claims", "--root", str(folder)]):
        assert ledger.main() == 0
    return folder


def _run(arm: str, spec: ArmSpec, seed: int, tier: str, runs: list, curves: list, probes: list) -> None:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{spec.method} {spec.params} {seed}".encode()).digest()[:4], "big"))
    run, lr = f"{arm}-s{seed}", spec.recipe.get("lr") or 1.0
    diverged = spec.task == "imagenet" and (spec.method == "none" or (lr >= 8 and seed == 0) or lr >= 32)
    refused = spec.method == "nf_resnet"
    top1 = float(np.clip(55 + 30 * rng.random() + 4 * rng.normal() - 6 * abs(np.log10(lr)), 8, 99))
    metrics = {} if diverged or refused else _metrics(spec.task, top1, rng)
    shared = {
        "run": run,
        "task": spec.task,
        "dataset": spec.dataset,
        "model": canonical(spec.model),
        "method": spec.method,
        "params": canonical(spec.params),
        "recipe": canonical(spec.recipe),
        "arm": arm,
        "seed": seed,
        "tier": tier,
        "status": "refused" if refused else "diverged" if diverged else "finished",
        "n_parameters": 1000,
        "seconds": 1.5,
        "peak_memory_bytes": 2**28,
        "method_sha256": "a" * 64,
        "data_sha256": "b" * 64,
        "git_commit": "c" * 40,
        "torch": "2.14.1",
        "device": "cpu",
        "engine": "torch 2.14.1",
    }
    units = read_task(spec.task).metrics
    rows = [{"metric": name, "value": value, "unit": units[name].unit} for name, value in metrics.items()]
    runs += [{**shared, **row} for row in rows or [{"metric": "status", "value": None, "unit": ""}]]
    for step in STEPS if metrics and "train_loss" in units else ():
        curves.append((run, step, "train_loss", 2.3 * np.exp(-step / (30 + 20 * rng.random()))))
        curves.append((run, step, "test_top1", top1 * (1 - np.exp(-step / 30))))
        curves.append((run, step, "weight_norm", 20 + step * rng.random() / 50))
    for k in range(1, 9) if metrics else ():
        for quantity in PROBED[spec.task == "imagenet"]:
            probes.append((run, f"layer{k}.join", k, 8, quantity, float(np.exp(0.2 * k * rng.random()))))


def _metrics(task: str, top1: float, rng: np.random.Generator) -> dict[str, float]:
    if task != "imagenet":
        return {name: float(rng.random()) for name in read_task(task).metrics}
    return {
        "penultimate_cosine_similarity": rng.random(),
        "gradient_ratio": 1 + rng.random(),
        "variance_ratio": 1 + rng.random(),
        "first_layer_gradient_norm": rng.random(),
        "test_top1": top1,
        "test_error": 100 - top1,
        "best_test_top1": min(100.0, top1 + 1),
        "last5_test_top1": top1 - 0.5,
        "mean_train_top1": 0.8 * top1,
        "dead_fraction_init": 0.1 * rng.random(),
        "dead_fraction": 0.2 * rng.random(),
        "weight_norm_ratio": 1 + rng.random(),
    }


def write_record(folder: Path, run: str, **fields) -> None:
    """As much of a run's record as the page reads."""
    path = folder / "records" / f"{run}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"run": run, **fields}), encoding="utf-8")
