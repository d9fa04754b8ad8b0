"""Progress: jobs say where they are in small files, and one display shows the time left, of each run and of the whole.

    python -m normbench.execution.progress --root build/quick --parent PID

Snakemake's onstart starts the display; it ends by itself. On a terminal it is drawn in place, elsewhere
it prints a line now and then. Torch-free.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from normbench.core.files import write_json
from normbench.planning.pipeline import Pipeline

PLAIN_EVERY = 20.0  # seconds between two lines where nobody watches a terminal
PLAIN_LOOKS = 4  # seconds between two looks there


class Reporter:
    """One job's side: writes progress/<job>.json about twice a second; failing to write never stops a run."""

    def __init__(self, path: Path):
        self.path = path
        self.state = {"run": "", "step": 0, "total": 0, "loss": 0.0, "began": 0.0, "finished": [], "diverged": 0, "pid": os.getpid()}

    def __enter__(self) -> "Reporter":
        self._write()
        return self

    def __exit__(self, *_) -> None:
        self.path.unlink(missing_ok=True)

    def step(self, run: str, step: int, total: int, loss: float) -> None:
        if run != self.state["run"]:
            self.state.update(run=run, began=time.time())
        self.state.update(step=step, total=total, loss=loss if abs(loss) < 1e30 else 0.0)
        self._write()

    def finished(self, run: str, status: str) -> None:
        self.state["finished"].append(run)
        self.state["diverged"] += status == "diverged"
        self._write()

    def _write(self) -> None:
        try:
            write_json(self.path, self.state)
        except Exception as error:  # a display must never end a training
            print(f"progress: {error}", file=sys.stderr)


@dataclass(frozen=True)
class Status:
    """runs: done and in all; seconds: expected of what is done and of all; running: the jobs' states."""

    runs_done: int
    runs: int
    seconds_done: float
    seconds: float
    running: list[dict]

    def left(self, elapsed: float) -> float | None:
        """Seconds left for the whole, from what the part that is done took; None until there is something to go by.

        The first steps of the first run are not: set-up was longer than they.
        """
        if (not self.runs_done and self.seconds_done < 0.01 * self.seconds) or self.seconds_done <= 0:
            return None
        return elapsed * (self.seconds - self.seconds_done) / self.seconds_done


def status(root: Path, whole: dict) -> Status:
    """Where the line stands. whole: arm -> {"seconds": expected, "runs": [...]}, of the arms to be trained."""
    states = list(jobs_here(root).values())
    done = seconds_done = 0.0
    for arm in whole.values():
        present = [run for run in arm["runs"] if (root / "records" / f"{run}.json").is_file() and not _stale(root, run, arm)]
        done += len(present)
        seconds_done += arm["seconds"] * len(present) / len(arm["runs"])
    by_run = {run: arm["seconds"] / len(arm["runs"]) for arm in whole.values() for run in arm["runs"]}
    for state in states:
        if state["total"] and state["run"] not in state["finished"]:
            seconds_done += by_run.get(state["run"], 0.0) * state["step"] / state["total"]
    return Status(int(done), len(by_run), seconds_done, sum(arm["seconds"] for arm in whole.values()), states)


def _stale(root: Path, run: str, arm: dict) -> bool:
    """Whether the record was there before this invocation began: then it is being made again."""
    return (root / "records" / f"{run}.json").stat().st_mtime < arm["since"]


def jobs_here(root: Path) -> dict[str, dict]:
    """The jobs that run on this machine -> where each is."""
    states = {}
    for path in sorted((root / "progress").glob("*.json")):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            os.kill(state["pid"], 0)
            states[path.stem] = state
        except (OSError, ValueError):  # just being replaced, or left by a killed job
            continue
    return states


def clock(seconds: float | None) -> str:
    """1:05 or 2:03:07; a question mark where nothing is known yet."""
    if seconds is None:
        return "?"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def run_left(state: dict, now: float) -> float | None:
    """Seconds left of a job's current run."""
    if not state["step"] or not state["began"]:
        return None
    return (now - state["began"]) / state["step"] * (state["total"] - state["step"])


def plain_line(now: Status, elapsed: float, time_now: float) -> str:
    parts = [f"{s['run']} step {s['step']}/{s['total']}, {clock(run_left(s, time_now))} left" for s in now.running if s["total"]]
    head = f"normbench: {now.runs_done}/{now.runs} runs, {clock(elapsed)} gone, {clock(now.left(elapsed))} left"
    return head + (" | " + " | ".join(parts) if parts else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    args = parser.parse_args()
    whole = json.load(sys.stdin)
    if not whole:
        return 0
    watch = _watch_terminal if sys.stderr.isatty() else _watch_plain
    watch(args.root, whole, args.parent)
    return 0


def _alive(pid: int) -> bool:
    return os.getppid() == pid


def _watch_plain(root: Path, whole: dict, parent: int) -> None:
    began, shown = time.time(), 0.0
    while _alive(parent):
        now = status(root, whole)
        if time.time() - shown >= PLAIN_EVERY and now.running:
            print(plain_line(now, time.time() - began, time.time()), file=sys.stderr, flush=True)
            shown = time.time()
        if now.runs_done == now.runs:
            return
        for _ in range(PLAIN_LOOKS):  # its end is seen at once; looking through thousands of records takes longer
            time.sleep(1)
            if not _alive(parent):
                return


def _watch_terminal(root: Path, whole: dict, parent: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    began = time.time()
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        whole_bar = display.add_task("all runs", total=1.0, note="")
        bars: dict[int, int] = {}
        while _alive(parent):
            now, elapsed = status(root, whole), time.time() - began
            note = f"{now.runs_done}/{now.runs}, {clock(now.left(elapsed))} left"
            display.update(whole_bar, completed=now.seconds_done / max(now.seconds, 1e-9), note=note)
            for pid in set(bars) - {s["pid"] for s in now.running}:
                display.remove_task(bars.pop(pid))
            for state in now.running:
                if state["pid"] not in bars:
                    bars[state["pid"]] = display.add_task("", total=1.0, note="")
                note = f"step {state['step']}/{state['total']}, loss {state['loss']:.3g}, {clock(run_left(state, time.time()))} left"
                display.update(bars[state["pid"]], description=state["run"], completed=state["step"] / max(1, state["total"]), note=note)
            if now.runs_done == now.runs:
                return
            time.sleep(0.5)


def start_display(pipeline: Pipeline) -> None:
    """Start the display beside Snakemake and tell it what is to be trained; it ends with Snakemake."""
    since, plan, root = time.time() - 1, pipeline.plan, pipeline.folders.root
    arms = dict.fromkeys(arm for job in pipeline.jobs.values() for arm in job)
    whole = {arm: {"seconds": plan.seconds(arm), "runs": plan.runs_of(arm), "since": since} for arm in arms}
    if whole:
        command = [sys.executable, "-m", "normbench.execution.progress", f"--root={root}", "--parent", str(os.getpid())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True).stdin as told:
            json.dump(whole, told)


if __name__ == "__main__":
    sys.exit(main())
