"""How long it takes to read the Snakefile, to dry-run ten thousand runs, and to say what ten thousand of the paper tier would cost.

    python -m benchmarks.planning

Works on a copy of the repository in a temporary folder whose quick and paper tiers have one sweep of thousands of arms,
in the dry run, for a cluster, each a job of its own. Writes build/benchmarks/planning.json.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from normbench.core.files import write_json
from normbench.core.schema import ROOT

RUNS = 10_000
ROUNDS = 5
PARTS = ("Snakefile", "normbench", "methods", "papers", "tasks", "workflows", "profiles")
READ = "import normbench.planning.pipeline; normbench.planning.pipeline.open_pipeline({'build': 'build-parse'})"


def copy(folder: Path) -> None:
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)


def widen(folder: Path, name: str) -> int:
    """Give a tier of the copy RUNS runs more; returns how many."""
    path = folder / "workflows" / "tiers" / f"{name}.yaml"
    tier = yaml.safe_load(path.read_text(encoding="utf-8"))
    points = RUNS // len(tier["seeds"])
    tier.setdefault("arms", {}).setdefault("skipinit", {})["small_batch_bn"] = {"over": {"lr": [1e-4 * (i + 1) for i in range(points)]}}
    if name == "quick":
        tier["job_seconds"] = 0
    path.write_text(yaml.safe_dump(tier), encoding="utf-8")
    return points * len(tier["seeds"])


def seconds(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=None)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        script = f"import sys, time; sys.path.insert(0, {str(folder)!r}); t = time.perf_counter(); {READ}; print(time.perf_counter() - t)"
        run = [sys.executable, "-c", script]
        subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        reads = [float(subprocess.run(run, cwd=folder, check=True, capture_output=True, text=True).stdout) for _ in range(ROUNDS)]
        runs, _ = widen(folder, "quick"), widen(folder, "paper")
        dry = seconds([sys.executable, "-m", "snakemake", "-n", "--quiet", "all", "--profile", "profiles/slurm"], folder)
        plan = seconds([sys.executable, "-m", "snakemake", "plan", "--config", "tier=paper"], folder)
    result = {"read_seconds": statistics.median(reads), "runs": runs, "dry_run_seconds": dry, "plan_seconds": plan}
    print(f"reading plan, papers and tier: {result['read_seconds']:.2f} s; dry run of {runs} runs: {dry:.1f} s")
    print(f"snakemake plan --config tier=paper with as many more: {plan:.1f} s")
    write_json(Path("build/benchmarks/planning.json"), result)


if __name__ == "__main__":
    main()
