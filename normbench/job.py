"""One job: a process that trains the runs of some arms, one after the other, and leaves a record of each.

    python -m normbench.job --root build/quick --data build/data --job <job>

What is complete is skipped, what was interrupted goes on from its checkpoint, and one arm's mistake
does not keep the others from running: the exit code is 1 at the end, with one sentence each.
"""

import argparse
import contextlib
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normbench.checkpoint import Checkpoints
from normbench.collector import leave_imports_alone
from normbench.errors import InputError
from normbench.files import whole_file, write_json
from normbench.line import Folders, arm_digest, read_content
from normbench.methods import read_method
from normbench.parallel import Processes, any_of, from_torchrun, together
from normbench.precision import set_arithmetic
from normbench.progress import Reporter
from normbench.records import Record, is_current, sha256, write_record
from normbench.running import Context, Result
from normbench.schema import ROOT
from normbench.spec import arm_from, digest
from normbench.tasks import load_adapter
from normbench.tiers import read_tier
from normbench.train import Interrupted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="build/<tier>")
    parser.add_argument("--data", type=Path, required=True, help="the folder of datasets")
    parser.add_argument("--job", required=True)
    args = parser.parse_args()
    set_arithmetic(int(os.environ.get("OMP_NUM_THREADS", "1")))
    folders = Folders(args.root.parent, args.root.name)
    try:
        job = read_content(folders.job(args.job))["arms"]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    leave_imports_alone()
    failed = False
    processes = from_torchrun()
    device = _device(processes)
    with together(processes, device), _reporter(folders, args.job, processes) as reporter:
        place = Place(folders, args.data, device, processes, reporter)
        for arm, seeds in job.items():
            try:
                train_arm(place, arm, seeds)
            except Interrupted:
                print(f"{arm}: told to stop; the checkpoint is written, the next `snakemake all` goes on from it", file=sys.stderr)
                return 143
            except InputError as error:
                failed = True
                print(f"error: {error}", file=sys.stderr)
                if processes.size > 1:
                    break  # the others may be waiting for this one in the middle of the arm
            except Exception:  # a fault of ours or of a method: the other arms still count
                if processes.size > 1:
                    raise
                failed = True
                print(f"error: {arm} stopped with a fault:\n{traceback.format_exc()}", file=sys.stderr)
    if not failed and processes.first:
        write_json(folders.root / "jobs" / f"{args.job}.done", {"job": args.job, "arms": job})
    return int(failed)


@dataclass(frozen=True)
class Place:
    """Where a job's runs happen. device: this process's own."""

    folders: Folders
    data: Path
    device: torch.device
    processes: Processes
    reporter: Reporter


def train_arm(place: Place, arm: str, seeds: list[int]) -> None:
    """These seeds of an arm, then its index where no other job has any of them left."""
    folders = place.folders
    content = read_content(folders.arm(arm))
    for seed in seeds:
        done = place.processes.first and _is_trained(folders, content, seed)
        if not any_of([done], place.device)[0]:
            train_run(place, content, seed)
        elif done:
            _forget_checkpoints(folders.checkpoint(f"{arm}-s{seed}"))
    # Whichever job is the last sees all; where two are, they write the same.
    if place.processes.first and all(_is_trained(folders, content, seed) for seed in content["seeds"]):
        paths = {run: folders.record(run) for run in (f"{arm}-s{seed}" for seed in content["seeds"])}
        records = {run: {"bytes": path.stat().st_size, "sha256": sha256(path)} for run, path in paths.items()}
        write_json(folders.index(arm), {"arm": arm, "content": arm_digest(content), "records": records})


def _is_trained(folders: Folders, content: dict[str, Any], seed: int) -> bool:
    return is_current(folders.record(f"{content['arm']}-s{seed}"), content["spec"], content["code"])


def train_run(place: Place, content: dict[str, Any], seed: int) -> None:
    """One run from its spec to its record, which the first of its processes writes."""
    spec, folders, reporter = arm_from(content["spec"]), place.folders, place.reporter
    run = f"{content['arm']}-s{seed}"
    tier = read_tier(folders.tier)
    checkpoints = Checkpoints(folders.checkpoint(run), digest({"spec": content["spec"], "code": content["code"]}), tier.checkpoint_seconds)
    context = Context(
        device=place.device,
        data=place.data,
        checkpoints=checkpoints,
        norms=_recorded_norms(folders, spec.source, seed),
        progress=(lambda step, total, loss: reporter.step(run, step, total, loss)) if place.processes.first else None,
        picture=folders.picture(run),
        rank=place.processes.rank,
        world_size=place.processes.size,
    )
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    result = load_adapter(spec.task).run(spec, seed, context)
    seconds = time.perf_counter() - began
    if not place.processes.first:
        return
    if result.trained.norms:
        with whole_file(folders.norms(run)) as file:
            np.savez(file, **result.trained.norms)
    write_record(_record(place, content, seed, result, seconds), folders.record(run))
    _forget_checkpoints(checkpoints.path)
    reporter.finished(run, result.trained.status)


def _forget_checkpoints(path: Path) -> None:
    """Those of a run that has its record, and what processes left half written or unforgotten that were killed in the middle of it."""
    for place in (path, *path.parent.glob(f"{path.name}.before"), *path.parent.glob(f".{path.name}.*")):
        place.unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # of a framework that keeps its own


def _device(processes: Processes) -> torch.device:
    """The GPU of this process, where there are any."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(processes.local)
    return torch.device("cuda", processes.local)


def _reporter(folders: Folders, job: str, processes: Processes) -> contextlib.AbstractContextManager[Reporter]:
    """Only the first process reports."""
    path = folders.root / "progress" / f"{job}.json"
    return Reporter(path) if processes.first else contextlib.nullcontext(Reporter(path))


def _record(place: Place, content: dict[str, Any], seed: int, result: Result, seconds: float) -> Record:
    trained, method, device, processes = result.trained, content["spec"]["method"], place.device, place.processes
    return Record(
        run=f"{content['arm']}-s{seed}",
        arm=content["arm"],
        seed=seed,
        tier=place.folders.tier,
        spec=content["spec"],
        status=trained.status,
        step=trained.step,
        cause=trained.cause,
        metrics=result.metrics,
        curves=trained.curves,
        probes=[row for row in result.probes if np.isfinite(row["value"])],
        sites=result.sites,
        n_parameters=result.n_parameters,
        seconds=round(seconds, 3),
        step_seconds=round(trained.step_seconds, 3),
        samples_per_second=round(trained.samples / trained.step_seconds, 3) if trained.samples else None,
        peak_memory_bytes=_peak_memory(device),
        world_size=processes.size,
        device_batch_size=_device_batch_size(content["spec"]["recipe"], processes.size),
        gpu_hours=round(seconds * processes.size / 3600, 6) if device.type == "cuda" else 0.0,
        code=content["code"],
        method_sha256=read_method(method).sha256,
        data_sha256=result.data_sha256,
        git_commit=_git_commit(),
        torch=torch.__version__,
        engine=result.engine or f"torch {torch.__version__}",
        notes=result.notes,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        machine={"node": platform.node(), "cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
    )


def _recorded_norms(folders: Folders, source: str | None, seed: int) -> dict[str, np.ndarray] | None:
    """The norms that the same seed of another arm recorded."""
    if source is None:
        return None
    path = folders.norms(f"{source}-s{seed}")
    if not path.is_file():
        raise InputError(
            f"{path}: the weight norms of {source} seed {seed} are not there (that run diverged or was not trained), "
            "and this run needs them"
        )
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _device_batch_size(recipe: dict[str, Any], world_size: int) -> int | None:
    """Samples that went through the network at once; None where a recipe has no batches."""
    share = recipe["batch_size"] // world_size if "batch_size" in recipe else None
    return min(share, recipe.get("device_batch_size") or share) if share else None


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU for this run, of the process so far on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@cache
def _git_commit() -> str:
    """The commit that is checked out, with "+" where files differ from it; "" outside a repository."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        return head + ("+" if changed else "")
    return ""


if __name__ == "__main__":
    sys.exit(main())
