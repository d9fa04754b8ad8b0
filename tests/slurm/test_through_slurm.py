"""The line through a real Slurm: requeued, killed, canceled and started again, it ends with what a local run ends with."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.execution.records import read_record
from normbench.planning.cluster import Allocation, launcher
from normbench.planning.folders import Folders
from normbench.planning.pipeline import arm_content, open_pipeline, write_jobs

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
CLUSTER = ["--profile", "profiles/slurm", "--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "3"]
CLUSTER += ["--default-resources", "slurm_partition=ci", "mem_mb=1000", "runtime=5"]
LOCALLY = ["--cores", "1"]
PATIENCE = 600  # seconds that anything here may take: an idle machine needs a tenth of it, a starved one does not


def environment(commands: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def line(build: Path, *words: str) -> list[str]:
    """The command of a user who wants a small paper's ledger and tables."""
    root = build / "tiny"
    config = ["--config", "tier=tiny", "papers=norm_matters", "tasks=imagenet", f"build={build}"]
    return [*SNAKEMAKE, str(root / "claims.csv"), str(root / "made" / "tables.json"), *words, *config]


def waited_for(what: Callable, process: subprocess.Popen | None = None):
    """The first value of `what` that is true."""
    for _ in range(10 * PATIENCE):  # looks, not seconds of a clock: where this process is halted for a while, so is all else
        if found := what():
            return found
        assert process is None or process.poll() is None, "the main process ended early"
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE} s in vain")


def running(commands: Path, state: str = "RUNNING") -> list[str]:
    words = [commands / "squeue", "--noheader", f"--states={state}", "--format=%i"]
    return subprocess.run(words, capture_output=True, text=True).stdout.split()


def requeue(commands: Path, job: str) -> None:
    """As Slurm does with a job that it preempts, but without the two minutes that it waits before it starts the job again."""
    subprocess.run([commands / "scontrol", "requeue", job], check=True)
    waited_for(lambda: job in running(commands, "PENDING"))
    subprocess.run([commands / "scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)


def training(root: Path, but: set[int] = frozenset()) -> dict | None:
    """What a job that is training says of itself, of those whose process is not in `but`."""
    for path in sorted(root.glob("progress/*.json")):
        state = json.loads(path.read_text())
        if state["finished"] and state["pid"] not in but:
            return state
    return None


def results(build: Path) -> dict[str, str]:
    root = build / "tiny"
    paths = [root / "claims.csv", *sorted((root / "tables").rglob("*.*"))]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def numbers(build: Path) -> dict[str, tuple]:
    """Run -> all that its training computed."""
    records = [read_record(path) for path in sorted((build / "tiny" / "records").glob("*.json"))]
    return {r.run: (r.status, r.metrics, r.curves, r.probes, r.spec, r.data_sha256) for r in records}


@contextlib.contextmanager
def started(words: list[str], **given) -> Iterator[subprocess.Popen]:
    """A process that is killed, as by a power cut, where it still runs at the end of the block."""
    process = subprocess.Popen(words, **given)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_jobs_that_are_requeued_killed_and_canceled_end_as_a_local_run_does(slurm, tmp_path):
    build, env = tmp_path / "cluster", environment(slurm)
    root, log, local = build / "tiny", tmp_path / "log", tmp_path / "local"
    with log.open("w") as file:
        began = {"cwd": ROOT, "env": env, "stdout": file, "stderr": subprocess.STDOUT}
        with started(line(local, *LOCALLY), **{**began, "stdout": subprocess.DEVNULL}) as locally:  # a cluster is mostly waited for
            with started(line(build, *CLUSTER), **began) as main:
                first = waited_for(lambda: training(root), main)
                (job,) = running(slurm)
                requeue(slurm, job)
                second = waited_for(lambda: training(root, {first["pid"]}), main)
                assert len(running(slurm)) == 1  # the same one again, or another that took its place meanwhile
                os.kill(second["pid"], signal.SIGKILL)  # as for want of memory
                third = waited_for(lambda: training(root, {first["pid"], second["pid"]}), main)
            (other,) = running(slurm)
            subprocess.run([slurm / "scancel", other], check=True)  # nobody waits for it any more
            waited_for(lambda: not running(slurm))
            records = {path: path.stat().st_mtime_ns for path in (root / "records").glob("*.json")}
            assert set(third["finished"]) <= {path.stem for path in records}
            subprocess.run(line(build, "--unlock"), **began)
            with started(line(build, *CLUSTER), **began) as main:
                fourth = waited_for(lambda: training(root, {state["pid"] for state in (first, second, third)}), main)
                canceled = running(slurm)
                subprocess.run([slurm / "scancel", *canceled], check=True)  # this time somebody does, and submits it again
                waited_for(lambda: training(root, {state["pid"] for state in (first, second, third, fourth)}), main)
                assert not set(canceled) & set(running(slurm))
                assert main.wait() == 0, log.read_text()[-5000:]
            assert locally.wait() == 0
    assert {path: path.stat().st_mtime_ns for path in records} == records  # what was complete was left alone
    assert not list(root.glob("checkpoints/*"))
    assert numbers(build) == numbers(local) and len(numbers(local)) > 20
    assert results(build) == results(local)


def test_two_nodes_train_together(slurm, tmp_path):
    """Four processes, two a node, started as a job that takes two nodes starts them."""
    folders = Folders(tmp_path / "build", "tiny")
    plan = open_pipeline({"tier": "tiny", "papers": "norm_matters", "tasks": "imagenet", "build": str(folders.build)}).plan
    arm = next(arm for arm, spec in plan.arms.items() if (spec.dataset, spec.method) == ("digits32", "batch_norm") and not spec.source)
    plan.write(folders.root)
    write_json(folders.arm(arm), arm_content(plan, arm))
    write_jobs(folders, {"wide": {arm: plan.seeds(arm)}})
    env, data, log = environment(slurm), folders.build / "data", tmp_path / "log"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "normbench.execution.prepare",
            "--data",
            data,
            "--dataset",
            "digits32",
            "--ready",
            folders.ready("digits32", folders.build / "data"),
        ],
        check=True,
    )
    held = Allocation(gpus=4, nodes=2, cpus=1, mem_mb=2000, minutes=5, limit=5)
    command = f"{launcher(held)} normbench.execution.job --root {folders.root} --data {data} --job wide"
    asked = ["--wait", "--nodes=2", "--gpus=4", "--cpus-per-gpu=1", "--mem=2000", f"--output={log}", f"--chdir={ROOT}"]
    done = subprocess.run([slurm / "sbatch", *asked, "--wrap", command], env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, log.read_text()[-5000:]
    records = [read_record(folders.record(f"{arm}-s{seed}")) for seed in plan.seeds(arm)]
    assert [(r.status, r.world_size, r.device_batch_size) for r in records] == [("finished", 4, 4)] * 2
    assert not list(folders.root.glob("checkpoints/*"))
