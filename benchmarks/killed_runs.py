"""`snakemake all` is killed at random, again and again, and the same command goes on: does anything get lost, twice, or other than it was?

    python -m benchmarks.killed_runs [--kills 50] [--seed 0]

Works on a copy of the repository in a temporary folder, whose tiny tier has one sweep of RUNS runs of half a second with checkpoints
all the time. A first build is left alone. Then builds are struck by SIGKILL at random moments: the main process, a rule's process (a
training, mostly), or the main process with all that it started, as a power cut would. Each time the same command is typed again.
Whenever a build gets to its end it is compared with the first one and begun anew. Writes build/benchmarks/killed_runs.json; the exit code
is 1 where a record differs, a run is missing or twice there in the tables or in MLflow, or the command asked for anything else than to be
typed again.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import yaml

from benchmarks.killed_jobs import numbers, widen
from benchmarks.planning import copy
from normbench.core.files import write_json
from normbench.execution.records import read_record

RUNS = 24
SHORTEST, LONGEST = 0.04, 0.55  # from the start of a command to its kill, of the seconds of a first build, which also makes its data
BESIDE = re.compile(r"normbench\.execution\.(progress|mlflow_watch)|bash -c")  # displays, and shells around a rule's process
ADVICE = ("--unlock", "--rerun-incomplete", "LockException", "IncompleteFilesException", "Traceback")
COMMAND = [sys.executable, "-m", "snakemake", "all", "--config", "tier=tiny", "papers=skipinit", "tasks=imagenet"]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}


def prepared(folder: Path) -> "Build":
    """A copy of the repository whose tiny tier has one sweep of RUNS runs, with checkpoints all the time."""
    copy(folder)
    widen(folder, RUNS)
    path = folder / "workflows" / "tiers" / "tiny.yaml"
    tier = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**tier, "checkpoint_seconds": 0.1}), encoding="utf-8")
    return Build(folder)


def reference_of(build: "Build") -> tuple[dict[str, tuple], float]:
    """(run -> its numbers, seconds) of a build that nobody disturbs."""
    began = time.perf_counter()
    code = build.start().wait()
    build.read()
    if code:
        raise SystemExit(build.said[-5000:])
    found = {path.stem: numbers(read_record(path)) for path in (build.root / "records").glob("*.json")}
    assert len(found) == RUNS
    return found, time.perf_counter() - began


class Build:
    """Copies of the suite's folder, in which the line is run and killed. said: all that the commands printed."""

    def __init__(self, folder: Path):
        self.folder, self.root, self.said = folder, folder / "build" / "tiny", ""

    def start(self) -> subprocess.Popen:
        """The command, in a group of its own, as a terminal starts it."""
        self.log = (self.folder / "log").open("w")
        quiet = {"stdout": self.log, "stderr": subprocess.STDOUT, "start_new_session": True}
        return subprocess.Popen(COMMAND, cwd=self.folder, env=environment(self.folder), **quiet)

    def read(self) -> None:
        self.log.close()
        self.said += (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def forget(self) -> None:
        """Begin anew: all but the datasets goes."""
        for name in ("tiny", "mlflow.db", "mlartifacts"):
            place = self.folder / "build" / name
            shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)


def strike(main: subprocess.Popen, way: str, chance: random.Random) -> bool:
    """Whether there was anything to kill."""
    process = psutil.Process(main.pid)
    everything = process.children(recursive=True)
    at_work = [child for child in everything if (words := _words(child)) and " -m normbench." in words and not BESIDE.search(words)]
    victims = {"main": [process], "job": [chance.choice(at_work)] if at_work else [], "both": [process, *everything]}[way]
    for victim in victims:
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return bool(victims)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or "-"
    except psutil.Error:
        return "-"


def faults(build: Build, reference: dict[str, tuple]) -> list[str]:
    """What is not as in a build that nobody disturbed."""
    records = {path.stem: numbers(read_record(path)) for path in (build.root / "records").glob("*.json")}
    table = pd.read_parquet(build.root / "runs.parquet")
    mirrored = Counter(tags_of_mirror(build.folder / "build" / "mlflow.db"))
    wrong = [f"{run}: other numbers" for run, found in reference.items() if run in records and records[run] != found]
    wrong += [f"{run}: in one build only" for run in reference.keys() ^ records.keys()]
    wrong += [f"{run}: not in runs.parquet" for run in reference.keys() - set(table.run)]
    wrong += ["runs.parquet: a row twice"] if table.duplicated(["run", "metric"]).any() else []
    wrong += [f"{run}: {mirrored[run]} times in MLflow" for run in reference if mirrored[run] != 1]
    wrong += [f"left behind: {path.name}" for path in (build.root / "checkpoints").glob("*")]
    return wrong


def tags_of_mirror(store: Path) -> list[str]:
    """The tag `run` of every run that MLflow shows."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.data.tags.get("run", "") for run in client.search_runs(experiments, max_results=5000)]


def killed(build: Build, kills: int, chance: random.Random, reference: dict[str, tuple], whole: float) -> dict:
    """Kill and go on. whole: seconds of an undisturbed build."""
    done, wrong, ends, codes = Counter(), [], 0, Counter()
    while sum(done.values()) < kills or not ends:
        main, way = build.start(), chance.choice(("main", "job", "both"))
        try:
            main.wait(whole * chance.uniform(SHORTEST, LONGEST) if sum(done.values()) < kills else None)
        except subprocess.TimeoutExpired:
            done[way] += strike(main, way, chance)
        code = main.wait()
        build.read()
        codes[code] += 1
        if code == 0:
            ends += 1
            wrong += faults(build, reference)
            if sum(done.values()) < kills:
                build.forget()
        print(f"{sum(done.values())} kills {dict(done)}, {ends} builds ended, {len(wrong)} faults", flush=True)
    advice = {word: build.said.count(word) for word in ADVICE if word in build.said}
    return {"kills": dict(done), "builds_ended": ends, "exit_codes": dict(codes), "faults": wrong, "advice": advice}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--log", type=Path, default=Path("build/benchmarks/killed_runs.log"), help="where to keep what the commands said")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="killed-runs-") as name:
        build = prepared(Path(name))
        reference, whole = reference_of(build)
        build.forget()
        began = time.perf_counter()
        found = killed(build, args.kills, random.Random(args.seed), reference, whole)
        minutes = round((time.perf_counter() - began) / 60, 1)
        args.log.parent.mkdir(parents=True, exist_ok=True)
        args.log.write_text(build.said, encoding="utf-8")
    result = {"runs": len(reference), "undisturbed_seconds": round(whole, 1), "minutes": minutes, **found}
    for key, value in result.items():
        print(f"{key}: {value}")
    write_json(Path("build/benchmarks/killed_runs.json"), {**result, "exit_codes": {str(k): v for k, v in found["exit_codes"].items()}})
    return int(bool(found["faults"] or found["advice"]))


if __name__ == "__main__":
    sys.exit(main())
