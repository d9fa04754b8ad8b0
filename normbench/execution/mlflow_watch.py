"""Runs appear in MLflow while others are trained.

    python -m normbench.execution.mlflow_watch --root build/quick --tracking-uri sqlite:///build/mlflow.db --parent PID --cores 2

Snakemake's onstart starts the watcher; it ends by itself, and what it had no time for is imported at the end. It takes a hundredth of the
cores' time at most, MLflow's own loading included: whatever costs more than that allows so far waits.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from normbench.core.errors import InputError

if TYPE_CHECKING:  # the process is as small as can be until there is something to import
    from normbench.execution.mlflow_mirror import Mirror
    from normbench.planning.pipeline import Pipeline

SHARE = 0.01  # of the cores' time
LOOK_EVERY = 5  # seconds
AGAIN = 60  # seconds until a store is tried again that could not be written
GRACE = 5  # seconds that an import may still take when Snakemake has ended
LOADING = 6.0  # CPU seconds of MLflow with the tables of a new store
ARM = 0.5  # and of the records of an arm, before the first one was measured
NICE = 19


def cpu_seconds() -> float:
    """All that this process and its children have taken, from their start."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass
class Allowance:
    """CPU seconds that the watcher may take: SHARE of what `cores` cores had since it began."""

    cores: int
    clock: Callable[[], float] = time.monotonic
    spent: Callable[[], float] = cpu_seconds
    began: float = field(init=False)

    def __post_init__(self):
        self.began = self.clock()

    def pays(self, cost: float) -> bool:
        """Whether as much more is still within it."""
        return self.spent() + cost <= SHARE * self.cores * (self.clock() - self.began)


class Watcher:
    """Imports arms as they get complete.

    add: imports an arm, if all of its records are there; whether it did. Raises InputError where the store cannot be written.
    alive: whether Snakemake still runs. sleep: waits so many seconds.
    """

    def __init__(self, allowance: Allowance, add: Callable[[str], bool], alive: Callable[[], bool], sleep: Callable[[float], None]):
        self.allowance, self.add, self.alive, self.sleep = allowance, add, alive, sleep
        self.price, self.dearest, self.told = LOADING, ARM, False

    def watch(self, index: Path, arms: Iterable[str]) -> None:
        """Until all `arms` are imported or Snakemake has ended. index: the folder where <arm>.json appears once an arm is complete."""
        seen = dict.fromkeys(arms, 0)
        while seen and self._affords(0.0):
            for arm, written in _written(index, seen):
                if not self._affords(self.price):
                    return
                try:
                    done = self._added(arm)
                except InputError as error:
                    self._tell(error)
                    self._pause(AGAIN)
                    break
                if done:
                    del seen[arm]
                else:
                    seen[arm] = written
            self._pause(LOOK_EVERY)

    def _affords(self, cost: float) -> bool:
        """Waits until the allowance pays; false once Snakemake has ended."""
        while self.alive():
            if self.allowance.pays(cost):
                return True
            self._pause(1)
        return False

    def _added(self, arm: str) -> bool:
        """Imports an arm and learns what the next one may take."""
        before, price = self.allowance.spent(), self.price
        self.price = LOADING  # also where it fails: then it begins anew
        done = self.add(arm)
        if done and price != LOADING:
            self.dearest = max(self.dearest, self.allowance.spent() - before)
        self.price = self.dearest if done else price
        return done

    def _tell(self, error: InputError) -> None:
        if not self.told:
            print(f"warning: {error}; meanwhile it is tried now and then", file=sys.stderr, flush=True)
            self.told = True

    def _pause(self, seconds: int) -> None:
        for _ in range(seconds):
            if self.alive():
                self.sleep(1)


def _written(index: Path, seen: dict[str, int]) -> list[tuple[str, int]]:
    """(arm, when its index was written) of those in `seen` whose index is there and is another than it was, the oldest first."""
    if not index.is_dir():
        return []
    there = {name.removesuffix(".json") for name in os.listdir(index)}
    times = {arm: (index / f"{arm}.json").stat().st_mtime_ns for arm in seen if arm in there}
    return sorted(((arm, time) for arm, time in times.items() if time != seen[arm]), key=lambda pair: pair[1])


def adder(root: Path, tracking_uri: str) -> Callable[[str], bool]:
    """Imports an arm of build/<tier> if it is complete; MLflow is loaded for the first that is."""
    mirrors: list[Mirror] = []

    def add(arm: str) -> bool:
        from normbench.execution.mlflow_mirror import Mirror

        mirror = mirrors.pop() if mirrors else Mirror(root, tracking_uri)
        if done := mirror.is_complete(arm):
            with mirror.alone():
                mirror.add(arm)
        mirrors.append(mirror)  # not where it failed: what it knew of the store may be true no more
        return done

    return add


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--cores", type=int, required=True)
    args = parser.parse_args()
    allowance = Allowance(args.cores)
    os.nice(NICE)
    arms = json.load(sys.stdin)
    threading.Thread(target=_end_with, args=(args.parent,), daemon=True).start()
    Watcher(allowance, adder(args.root, args.tracking_uri), lambda: os.getppid() == args.parent, time.sleep).watch(
        args.root / "index", arms
    )
    return 0


def _end_with(parent: int) -> None:
    """Ends this process soon after Snakemake, whatever it waits for: what was half written is imported anew by the next one."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(GRACE)
    os._exit(0)


def start_watcher(pipeline: "Pipeline", cores: int | None) -> None:
    """Start the watcher beside Snakemake where something is to be trained. cores: that jobs share; None: all of this machine."""
    if not pipeline.jobs:
        return
    here = len(os.sched_getaffinity(0))
    words = ["--root", str(pipeline.folders.root), "--tracking-uri", pipeline.tracking_uri]
    words += ["--parent", str(os.getpid()), "--cores", str(min(cores or here, here))]
    command = [sys.executable, "-m", "normbench.execution.mlflow_watch", *words]
    # A session of its own: what a terminal sends to Snakemake and its jobs cuts no import short.
    given = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **given).stdin as told:
        json.dump(list(pipeline.shown.arms), told)


if __name__ == "__main__":
    sys.exit(main())
