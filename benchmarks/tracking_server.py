"""What a tracking server that is down, slow or broken costs a run.

    python -m benchmarks.tracking_server [--rounds 9]

The same few runs of the tiny tier are trained with MLFLOW_TRACKING_URI naming a server that is there and answers at once, one that
is down, one that answers after a minute, and one that answers 500, the states one after another in each round, in another order each
time. The figure is the median over rounds of the seconds inside the runs over those of the round's server that is there; beside it
stands how often the servers were asked for anything while runs trained. Behind them, what the import at the line's end takes until
it gives up. Writes build/benchmarks/tracking_server.json.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from normbench.core.files import write_json
from normbench.execution.records import read_record
from normbench.planning.pipeline import open_pipeline, prepare, write_jobs

ARMS = 4  # of a job: eight runs
SLOW = 60.0  # seconds
STATES = {"there": (200, 0.0), "down": None, "slow": (200, SLOW), "500": (500, 0.0)}


@contextmanager
def server(state: tuple[int, float] | None, asked: list[str]):
    """The address of a server that answers all with (status, seconds late) and notes it in `asked`; None: of one that is not there."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            released.wait(state[1])
            self.send_response(state[0])
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{made.server_address[1]}"
    if state is None:
        made.server_close()
        yield address
        return
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield address
    released.set()
    made.shutdown()
    made.server_close()


def trained(root: Path, job: str, data: Path, address: str) -> float:
    """Seconds inside the runs of a job."""
    for part in ("records", "index", "norms", "checkpoints"):
        shutil.rmtree(root / part, ignore_errors=True)
    command = [sys.executable, "-m", "normbench.execution.job", "--root", str(root), "--data", str(data), "--job", job]
    subprocess.run(command, env={**os.environ, "MLFLOW_TRACKING_URI": address}, stdout=subprocess.DEVNULL, check=True)
    return sum(read_record(path).seconds for path in (root / "records").glob("*.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    spent: dict[str, list[float]] = {state: [] for state in STATES}
    asked: list[str] = []
    imports = {}
    with tempfile.TemporaryDirectory() as name:
        build = Path(name)
        line = open_pipeline({"tier": "tiny", "papers": "norm_matters", "tasks": "imagenet", "build": str(build)})
        arms = [arm for arm, spec in line.plan.arms.items() if spec.dataset == "digits32" and not spec.source][:ARMS]
        prepare(line)
        write_jobs(line.folders, {"few": {arm: line.plan.seeds(arm) for arm in arms}})
        ready = ["--data", build / "data", "--dataset", "digits32", "--ready", build / "ready" / "digits32.json"]
        subprocess.run([sys.executable, "-m", "normbench.execution.prepare", *ready], check=True)
        for turn in range(args.rounds):
            for state in [*STATES][turn % len(STATES) :] + [*STATES][: turn % len(STATES)]:
                with server(STATES[state], asked) as address:
                    spent[state].append(trained(line.folders.root, "few", build / "data", address))
        while_training = len(asked)
        line.plan.only(set(arms)).write(line.folders.root)
        for state in ("down", "slow", "500"):
            with server(STATES[state], asked) as address:
                began = time.perf_counter()
                words = ["--root", str(line.folders.root), "--tracking-uri", address]
                subprocess.run([sys.executable, "-m", "normbench.execution.mlflow_import", *words], stderr=subprocess.DEVNULL)
                imports[state] = round(time.perf_counter() - began, 1)
    result = {
        "runs_of_a_job": ARMS * len(line.plan.tier.seeds),
        "asked_while_training": while_training,
        "seconds_until_the_import_gives_up": imports,
    }
    for state in STATES:
        ratios = [ours / theirs for ours, theirs in zip(spent[state], spent["there"], strict=True)]
        result[state] = {
            "over_there": round(statistics.median(ratios), 4),
            "seconds_inside_runs": round(statistics.median(spent[state]), 3),
        }
        print(state, result[state])
    print(f"asked while runs trained: {while_training}; the import at the end gave up after {imports}")
    write_json(Path("build/benchmarks/tracking_server.json"), result)


if __name__ == "__main__":
    main()
