"""A thousand short runs through a real Slurm whose jobs are killed at random: none lost, none counted twice, and how long it takes.

    python -m benchmarks.killed_jobs [--runs 1000] [--every 15] [--seed 0]

Works on a copy of the repository in a temporary folder whose tiny tier has one sweep of so many runs, each of about half a second
of a core, packed into jobs. A Slurm of two nodes is started there (Debian's packages, installed where they are missing, as root).
Every so many seconds one running job is struck: scancel, SIGKILL of the training, SIGKILL of the whole job, or a requeue. A main
process that gives up is started again, as a user would do. Then every record is read, the collected table is counted, and some arms
are trained once more by themselves and compared. Writes build/benchmarks/killed_jobs.json; the exit code is 1 where a run is
missing, twice there or another one.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import yaml

from benchmarks.planning import copy
from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.execution.records import Record, read_record

sys.path.insert(0, str(ROOT / "tests" / "slurm"))
import local_slurm

SEEDS = [0, 1, 2, 3]
STEPS = 60  # of small_batch_bn's network, so that a run takes half a second of a core
RUN_SECONDS, JOB_SECONDS = 0.5, 20  # what a run is expected to take, and what a job is filled up to
NODES, CPUS = 2, 2  # four jobs at a time, so that none has to wait while others start
AGAIN = 6  # arms that are trained once more: one, then, in a second process that needs as long to begin, the others
MOST_JOBS, MOST_MINUTES = 50, 12
LINE = ["-m", "snakemake", "--config", "tier=tiny", "papers=skipinit", "tasks=imagenet"]
CLUSTER = ["--profile", "profiles/slurm", "--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "3"]
CLUSTER += ["--default-resources", "slurm_partition=ci", "mem_mb=1000", "runtime=15"]


def widen(folder: Path, runs: int) -> None:
    """Give the copy's tiny tier one arm that is swept over so many runs, and nothing else that skipinit wants of it."""
    path = folder / "workflows" / "tiers" / "tiny.yaml"
    tier = yaml.safe_load(path.read_text(encoding="utf-8"))
    rates = [round(1e-4 * (i + 1), 6) for i in range(runs // len(SEEDS))]
    tier["arms"]["skipinit"] = {"small_batch_bn": {"set": {"steps": STEPS}, "over": {"lr": rates}}}
    tier |= {"seeds": SEEDS, "job_seconds": JOB_SECONDS, "checkpoint_seconds": 5}
    tier["machine"] = {"seconds_per_run": RUN_SECONDS, "seconds_per_layer": 0.0, "macs_per_second": 1e18}
    path.write_text(yaml.safe_dump(tier), encoding="utf-8")
    paper = folder / "papers" / "skipinit.yaml"
    content = yaml.safe_load(paper.read_text(encoding="utf-8"))
    kept = {name: arm for name, arm in content["arms"].items() if name == "small_batch_bn"}
    kept["small_batch_bn"].pop("over", None)
    row = {"title": "Batch norm", "arms": {"small": "small_batch_bn"}}
    table = {"id": "rates", "title": "Rates", "metric": "test_top1", "columns": {"small": {"title": "small"}}, "rows": {"bn": row}}
    paper.write_text(yaml.safe_dump({**content, "arms": kept, "claims": [], "tables": [table], "figures": []}), encoding="utf-8")


class Striker:
    """Strikes one running job at a time, each time in another way."""

    def __init__(self, commands: Path, root: Path, chance: random.Random):
        self.commands, self.root, self.chance, self.done = commands, root, chance, Counter()
        self.ways = (self.canceled, self.training_killed, self.job_killed, self.requeued)

    def strike(self) -> None:
        jobs = self.jobs("RUNNING")
        way = self.chance.choice(self.ways)
        if jobs and way(self.chance.choice(jobs)):
            self.done[way.__name__] += 1

    def jobs(self, state: str) -> list[str]:
        done = subprocess.run([self.commands / "squeue", "--noheader", f"--states={state}", "--format=%i"], capture_output=True, text=True)
        return done.stdout.split()

    def canceled(self, job: str) -> bool:
        return self.slurm("scancel", job)

    def job_killed(self, job: str) -> bool:
        return self.slurm("scancel", "--signal=KILL", "--full", job)

    def training_killed(self, _job: str) -> bool:
        """As for want of memory: whichever training says that it is there."""
        pids = [json.loads(path.read_text())["pid"] for path in self.root.glob("progress/*.json")]
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if not alive:
            return False
        psutil.Process(self.chance.choice(alive)).kill()
        return True

    def requeued(self, job: str) -> bool:
        """As Slurm does with a job that it preempts, but without the two minutes that it waits before it starts the job again."""
        if not self.slurm("scontrol", "requeue", job):
            return False
        for _ in range(100):
            if job in self.jobs("PENDING"):
                return self.slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
            time.sleep(0.1)
        return True

    def slurm(self, command: str, *words: str) -> bool:
        return subprocess.run([self.commands / command, *words], capture_output=True).returncode == 0


def through_slurm(folder: Path, commands: Path, every: float, chance: random.Random) -> tuple[int, Counter, float]:
    """(how often the main process was started, strikes by kind, seconds for which this machine halted us and all that we started)."""
    root = folder / "build" / "tiny"
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    striker, starts, halted = Striker(commands, root, chance), 0, 0.0
    with (folder / "log").open("w") as log:
        quiet = {"cwd": folder, "env": environment, "stdout": log, "stderr": subprocess.STDOUT}
        while True:
            starts += 1
            main = subprocess.Popen([sys.executable, *LINE, *CLUSTER, "--", str(root.relative_to(folder) / "runs.parquet")], **quiet)
            while main.poll() is None:
                halted += _wait(main, every * chance.uniform(0.5, 1.5))
                if main.poll() is None:
                    striker.strike()
            if main.returncode == 0 or starts == 5:
                return starts, striker.done, halted
            for job in striker.jobs("all"):
                striker.slurm("scancel", job)


def _wait(process: subprocess.Popen, seconds: float) -> float:
    """Until the process has ended, or so long; returns by how much a second's sleep took longer than that."""
    halted, limit = 0.0, time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < limit:
        began = time.monotonic()
        time.sleep(1)
        late = time.monotonic() - began - 1
        halted += late if late > 1 else 0.0
    return halted


def counted(root: Path, wanted: int) -> dict[str, int]:
    """What is there, and what should not be."""
    records = [read_record(path) for path in sorted((root / "records").glob("*.json"))]
    table = pd.read_parquet(root / "runs.parquet")
    return {
        "wanted": wanted,
        "records": len(records),
        "different_runs": len({(r.arm, r.seed) for r in records}),
        "runs_collected": table.run.nunique(),
        "rows_twice": int(table.duplicated(["run", "metric"]).sum()),
        "not_finished": sum(r.status != "finished" for r in records),
        "checkpoints_left": len(list((root / "checkpoints").glob("*"))),
    }


def numbers(record: Record) -> tuple:
    return record.status, record.metrics, record.curves, record.probes, record.spec, record.code, record.data_sha256


def trained_again(folder: Path, chance: random.Random) -> tuple[int, float]:
    """(runs that come out differently when some arms are trained by themselves, processor seconds that one such run takes)."""
    root, alone = folder / "build" / "tiny", folder / "build-alone" / "tiny"
    arms = chance.sample(sorted(path.stem for path in (root / "arms").glob("*.json")), AGAIN)
    for arm in arms:
        write_json(alone / "arms" / f"{arm}.json", json.loads((root / "arms" / f"{arm}.json").read_text()))
    spent = [_spent(folder, alone, chosen) for chosen in (arms[:1], arms)]
    pairs = [(read_record(path), read_record(root / "records" / path.name)) for path in sorted((alone / "records").glob("*.json"))]
    assert len(pairs) == AGAIN * len(SEEDS)
    return sum(numbers(ours) != numbers(theirs) for ours, theirs in pairs), (spent[1] - spent[0]) / len(SEEDS) / (AGAIN - 2)


def _spent(folder: Path, root: Path, arms: list[str]) -> float:
    """Processor seconds of a job that trains these arms, where they are not trained yet."""
    write_json(root / "jobs" / "again.json", {"job": "again", "arms": dict.fromkeys(arms, SEEDS)})
    command = [
        sys.executable,
        "-m",
        "normbench.execution.job",
        "--root",
        str(root),
        "--data",
        str(folder / "build" / "data"),
        "--job",
        "again",
    ]
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--every", type=float, default=15.0, help="mean seconds between two strikes; 0: none")
    parser.add_argument("--seed", type=int, default=0, help="of the strikes")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="killed-jobs-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # munge's socket is in it
        copy(folder)
        widen(folder, args.runs)
        commands = local_slurm.start(folder / "slurm", nodes=NODES, cpus=CPUS)
        began, busy = time.perf_counter(), busy_seconds()
        try:
            starts, strikes, halted = through_slurm(folder, commands, args.every or 1e9, chance)
        finally:
            local_slurm.stop(folder / "slurm")
        seconds, busy = time.perf_counter() - began, busy_seconds() - busy
        root = folder / "build" / "tiny"
        if not (root / "runs.parquet").is_file():
            print((folder / "log").read_text()[-5000:], file=sys.stderr)
            return 1
        found = counted(root, args.runs)
        jobs = [path for path in (root / "jobs").glob("*.json") if json.loads(path.read_text())["arms"]]
        found["submissions"] = (folder / "log").read_text().count("has been submitted with SLURM jobid")
        different, alone = trained_again(folder, chance)
    result = {
        **found,
        "jobs": len(jobs),
        "starts": starts,
        "strikes": dict(strikes),
        "minutes": round(seconds / 60, 2),
        "minutes_halted": round(halted / 60, 2),
    }
    result |= {"different_numbers": different, "processor_seconds_of_a_run": round(alone, 3), "machine_busy_minutes": round(busy / 60, 2)}
    for key, value in result.items():
        print(f"{key}: {value}")
    write_json(Path("build/benchmarks/killed_jobs.json"), result)
    whole = {found[key] for key in ("wanted", "records", "different_runs", "runs_collected")} == {args.runs}
    return int(not whole or any((found["rows_twice"], found["checkpoints_left"], different)))


def busy_seconds() -> float:
    """Seconds that the machine's processors have computed for anyone."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


if __name__ == "__main__":
    sys.exit(main())
