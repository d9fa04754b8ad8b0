"""One job: a process that trains the runs of some arms, one after the other, and leaves a record of each.

    python -m normbench.execution.job --root build/quick --data build/data --job <job>

What is complete is skipped, what was interrupted goes on from its checkpoint, and one arm's mistake
does not keep the others from running: the exit code is 1 at the end, with one sentence each.
"""

import argparse
import contextlib
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normbench.config.spec import arm_from, digest, run_id
from normbench.config.tasks import load_adapter
from normbench.config.tiers import read_tier
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import read_json, whole_file, write_json
from normbench.core.gc_tuning import leave_imports_alone
from normbench.execution.data_folder import without_colon
from normbench.execution.index import is_trained, write_index
from normbench.execution.leftovers import forget_checkpoints
from normbench.execution.progress import Reporter
from normbench.execution.records import write_record
from normbench.execution.run_record import make_record
from normbench.execution.stopwatch import Stopwatch
from normbench.execution.task_api import Context
from normbench.execution.unfinished import forget_failure, note_failure
from normbench.execution.work_stealing import LOOK_EVERY, held, runs_elsewhere
from normbench.planning.folders import Folders
from normbench.planning.plan import Job
from normbench.training.checkpoint import Checkpoints
from normbench.training.distributed import Processes, any_of, from_torchrun, together
from normbench.training.loop import Interrupted
from normbench.training.precision import set_arithmetic


@command
def main() -> int | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="build/<tier>")
    parser.add_argument("--data", type=Path, required=True, help="the folder of datasets")
    parser.add_argument("--job", required=True)
    parser.add_argument("--share", action="store_true", help="with other jobs of this machine: no run twice")
    args = parser.parse_args()
    set_arithmetic(int(os.environ.get("OMP_NUM_THREADS", "1")))
    folders = Folders.of(args.root)
    job = read_json(folders.job(args.job))["arms"]
    leave_imports_alone()
    processes = from_torchrun()
    device = _device(processes)
    shared = args.share and processes.size == 1
    with without_colon(args.data) as data, together(processes, device), _reporter(folders, args.job, processes) as reporter:
        place = Place(folders, data, device, processes, reporter, shared, args.job)
        try:
            failed = train_all(place, job)
            if shared and device.type == "cpu":
                for arm, seed in runs_elsewhere(folders, args.job):
                    attempt(place, arm, [seed], tell=False)  # what fails is told by the job that it is of
            if shared:
                failed = finish(place, job, failed)
        except Interrupted as where:
            print(f"{where}: told to stop; the checkpoint is written, the next `snakemake all` goes on from it", file=sys.stderr)
            return 143
    if not failed and processes.first:
        write_json(folders.job_done(args.job), {"job": args.job, "arms": job})
    return int(bool(failed))


@dataclass(frozen=True)
class Place:
    """Where a job's runs happen. device: this process's own. job: its id.

    shared: other processes of this machine may train its runs: jobs that have none left, or one whose main process was killed.
    """

    folders: Folders
    data: Path
    device: torch.device
    processes: Processes
    reporter: Reporter
    shared: bool = False
    job: str = ""


def train_all(place: Place, job: Job) -> set[str]:
    """All arms of a job, of which several processes leave out what follows a mistake. Returns the arms that failed."""
    failed: set[str] = set()
    for arm, seeds in job.items():
        if not attempt(place, arm, seeds):
            failed.add(arm)
            if place.processes.size > 1:
                break  # the others may be waiting for this one in the middle of the arm
    return failed


def finish(place: Place, job: Job, failed: set[str]) -> set[str]:
    """What is left of a job whose runs others took too: waits for those, and trains what they gave up. Returns the arms that failed."""
    arms = {arm: read_json(place.folders.arm(arm)) for arm in job}
    failed = set(failed)
    while left := [(a, s) for a, seeds in job.items() if a not in failed for s in seeds if not is_trained(place.folders, arms[a], s)]:
        for arm, seed in left:
            if (source := arms[arm]["spec"]["source"]) in failed:
                tell_failure(place, arm, f"error: {arm}: needs the weight norms of {source}, which failed")
            if source in failed or not attempt(place, arm, [seed]):
                failed.add(arm)
        time.sleep(LOOK_EVERY)
    return failed


def attempt(place: Place, arm: str, seeds: list[int], tell: bool = True) -> bool:
    """train_arm; what goes wrong is told and keeps nothing else from running. Returns whether nothing did; raises Interrupted."""
    try:
        train_arm(place, arm, seeds)
        return True
    except Interrupted:
        raise Interrupted(arm) from None
    except InputError as error:
        message = f"error: {error}"
    except Exception:  # a fault of ours or of a method: the other arms still count
        message = f"error: {arm} stopped with a fault:\n{traceback.format_exc()}"
        if place.processes.size > 1:
            tell_failure(place, arm, message)
            raise
    if tell:
        tell_failure(place, arm, message)
    return False


def tell_failure(place: Place, arm: str, message: str) -> None:
    """In the job's log, and as the reason that tables and verdicts give: the last line of it."""
    print(message, file=sys.stderr)
    with contextlib.suppress(OSError, InputError):  # of a full disk, say, which the message is about
        note_failure(place.folders, arm, message.strip().splitlines()[-1].removeprefix("error: "), place.job)


def train_arm(place: Place, arm: str, seeds: list[int]) -> None:
    """These seeds of an arm, then its index where no other job has any of them left."""
    folders = place.folders
    content = read_json(folders.arm(arm))
    for seed in seeds:
        with held(folders, run_id(arm, seed)) if place.shared else contextlib.nullcontext(True) as ours:
            if ours:
                _train_unless_done(place, content, seed)
    # Whichever job is the last sees all; where two are, they write the same.
    if place.processes.first and all(is_trained(folders, content, seed) for seed in content["seeds"]):
        write_index(folders, content)
        forget_failure(folders, arm)


def _train_unless_done(place: Place, content: dict[str, Any], seed: int) -> None:
    """A run that has no record yet; not yet one that needs the norms of another which is still being trained beside this process."""
    folders, source = place.folders, content["spec"]["source"]
    done = place.processes.first and is_trained(folders, content, seed)
    if any_of([done], place.device)[0]:
        if done:
            forget_checkpoints(folders.checkpoint(run_id(content["arm"], seed)))
    elif not place.shared or source is None or is_trained(folders, read_json(folders.arm(source)), seed):
        train_run(place, content, seed)


def train_run(place: Place, content: dict[str, Any], seed: int) -> None:
    """One run from its spec to its record, which the first of its processes writes."""
    spec, folders, reporter = arm_from(content["spec"]), place.folders, place.reporter
    run = run_id(content["arm"], seed)
    identity = digest({"spec": content["spec"], "code": content["code"]})
    checkpoints = Checkpoints(folders.checkpoint(run), identity, read_tier(folders.tier).checkpoint_seconds)
    stopwatch = Stopwatch(checkpoints.path.with_suffix(".seconds"), identity)

    def progress(step: int, total: int, loss: float) -> None:
        stopwatch.look()
        reporter.step(run, step, total, loss)

    context = Context(
        device=place.device,
        data=place.data,
        checkpoints=checkpoints,
        norms=_recorded_norms(folders, spec.source, seed),
        progress=progress if place.processes.first else None,
        picture=folders.picture(run),
        rank=place.processes.rank,
        world_size=place.processes.size,
    )
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    result = load_adapter(spec.task).run(spec, seed, context)
    seconds = stopwatch.seconds()
    if not place.processes.first:
        return
    if result.trained.norms:
        with whole_file(folders.norms(run)) as file:
            np.savez(file, **result.trained.norms)
    record = make_record(content, seed, result, seconds, tier=folders.tier, device=place.device, world_size=place.processes.size)
    write_record(record, folders.record(run))
    forget_checkpoints(checkpoints.path)
    reporter.finished(run, result.trained.status)


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


def _recorded_norms(folders: Folders, source: str | None, seed: int) -> dict[str, np.ndarray] | None:
    """The norms that the same seed of another arm recorded."""
    if source is None:
        return None
    path = folders.norms(run_id(source, seed))
    if not path.is_file():
        raise InputError(
            f"{path}: the weight norms of {source} seed {seed} are not there (that run diverged, was not trained, or has no kernels), "
            "and this run needs them"
        )
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


if __name__ == "__main__":
    sys.exit(main())
