"""A thousand short runs through a local Slurm whose jobs are killed at random: is any lost, or counted twice, and how long does it take?

    python benchmarks/slurm_kills.py [--runs 1000] [--every 15] [--seed 0]

Works on a copy of the repository whose tiny tier sweeps one arm. Every so many seconds one running training gets SIGKILL or its
job is canceled. Writes build/benchmarks/slurm_kills.json.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml
from planning import copy

from normbench.files import write_json
from normbench.schema import ROOT

sys.path.insert(0, str(ROOT / "tests" / "slurm"))
import local_slurm  # the tests' own

WORDS = [
    "--profile",
    "profiles/slurm",
    "--jobs",
    "2",
    "--retries",
    "20",
    "--latency-wait",
    "5",
    "--slurm-init-seconds-before-status-checks",
    "2",
]
WORDS += [
    "--default-resources",
    "slurm_partition=ci",
    "mem_mb=1000",
    "runtime=5",
    "--config",
    "tier=tiny",
    "papers=skipinit",
    "methods=batch_norm",
]


def widen(folder: Path, runs: int) -> int:
    """Give the copy's tiny tier so many runs of one small network, and nothing else of the paper; returns how many it has."""
    path = folder / "workflows" / "tiers" / "tiny.yaml"
    tier = yaml.safe_load(path.read_text(encoding="utf-8"))
    points = runs // len(tier["seeds"])
    tier["arms"]["skipinit"]["rates_small_bn"] = {"set": {"steps": 4}, "over": {"lr": [1e-4 * (i + 1) for i in range(points)]}}
    path.write_text(yaml.safe_dump(tier), encoding="utf-8")
    return points * len(tier["seeds"])


def kill_one(root: Path, commands: Path, chance: random.Random) -> str:
    """What was done to a job that was training; "" where none was."""
    states = [json.loads(path.read_text()) for path in root.glob("progress/*.json")]
    if chance.random() < 0.5 and states:
        os.kill(chance.choice(states)["pid"], signal.SIGKILL)
        return "SIGKILL"
    running = subprocess.run([commands / "squeue", "-h", "-t", "RUNNING", "-o", "%i"], capture_output=True, text=True).stdout.split()
    if not running:
        return ""
    subprocess.run([commands / "scancel", chance.choice(running)], check=False)
    return "scancel"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance, killed = random.Random(args.seed), []
    with tempfile.TemporaryDirectory(prefix="slurm-kills-") as name:
        Path(name).chmod(0o755)  # munge wants to be reached
        folder = Path(name) / "copy"
        folder.mkdir()
        copy(folder)
        widen(folder, args.runs)
        commands = local_slurm.start(Path(name) / "slurm")
        root = folder / "build" / "tiny"
        environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        began = time.perf_counter()
        try:
            with (Path(name) / "log").open("w") as log:
                words = [sys.executable, "-m", "snakemake", str(root.relative_to(folder) / "runs.parquet"), *WORDS]
                process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
                while True:
                    try:
                        process.wait(args.every)
                        break
                    except subprocess.TimeoutExpired:
                        killed += filter(None, [kill_one(root, commands, chance)])
        finally:
            local_slurm.stop(Path(name) / "slurm")
        if process.returncode:
            sys.exit((Path(name) / "log").read_text()[-3000:])
        seconds = time.perf_counter() - began
        wanted = {f"{arm}-s{s}" for arm, seeds in arms_of(root).items() for s in seeds}
        rows = pd.read_parquet(root / "runs.parquet", columns=["run", "metric"])
        twice = int(rows.duplicated().sum())
        submitted = len(list((root / "jobs").glob("*.done")))
    result = {
        "runs": len(wanted),
        "lost": len(wanted - set(rows.run)),
        "twice": twice,
        "jobs": submitted,
        "kills": killed,
        "seconds": seconds,
    }
    print(print(f"{len(wanted)} runs, {submitted} jobs, {len(killed)} kills: {result['lost']} lost, {twice} twice, {seconds / 60:.1f} min"))
    write_json(Path("build/benchmarks/slurm_kills.json"), result)


def arms_of(root: Path) -> dict[str, list[int]]:
    """Arm -> seeds, of the arms that were asked for."""
    asked = [arm for path in root.glob("jobs/*.done") for arm in json.loads(path.read_text())["arms"]]
    return {arm: json.loads((root / "arms" / f"{arm}.json").read_text())["seeds"] for arm in asked}


if __name__ == "__main__":
    main()
