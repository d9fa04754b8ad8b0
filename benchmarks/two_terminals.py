"""What people type in a second terminal while `snakemake all` runs: does the first one end as if it had been alone?

    python -m benchmarks.two_terminals [--times 30] [--seed 0]

Works on a copy of the repository as `benchmarks.killed_runs` does. Beside each build, at random moments, other commands are typed: `plan`,
a dry run of another selection, `so_far`, and a second `snakemake all` with another selection. Afterwards the first build must hold every
run of its plan once, in runs.parquet and in MLflow, with the records of a build that was alone; the second `all` must have been refused in
one sentence. Writes build/benchmarks/two_terminals.json; the exit code is 1 where anything is otherwise.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.killed_runs import Build, environment, faults, prepared, reference_of
from normbench.core.files import write_json

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
OWN = ["--config", "tier=tiny", "papers=skipinit", "tasks=imagenet"]
OTHER = ["--config", "tier=tiny", "papers=norm_matters", "tasks=propagation"]
BESIDE = {
    "plan": ["plan", *OTHER],
    "dry run": ["all", "--dry-run", *OTHER],
    "so_far": ["so_far", *OWN],
    "second all": ["all", *OTHER],
}
AT_ONCE = 3  # commands beside one build


def beside(build: Build, name: str) -> tuple[int, str]:
    """(exit code, what was said) of one of the commands of BESIDE."""
    done = subprocess.run([*SNAKEMAKE, *BESIDE[name]], cwd=build.folder, env=environment(build.folder), capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def wrong_beside(name: str, code: int, said: str, first_runs: bool) -> list[str]:
    """What a command should not have done. first_runs: the first build was still at work when it ended."""
    found = [f"{name}: a traceback"] if "Traceback" in said else []
    if name == "second all":
        refused = code == 1 and said.count("is being built by process") == 1
        return found + ([] if refused or not first_runs else [f"{name}: not refused, exit code {code}"])
    return found + ([f"{name}: exit code {code}"] if code else [])


def one_build(build: Build, chance: random.Random, whole: float, reference: dict[str, tuple], done: Counter) -> list[str]:
    main, wrong = build.start(), []
    until_it_holds(build)
    for name in chance.sample(sorted(BESIDE), AT_ONCE):
        time.sleep(whole * chance.uniform(0, 0.6 / AT_ONCE))
        if main.poll() is None:
            code, said = beside(build, name)
            wrong += wrong_beside(name, code, said, main.poll() is None)
            done[name] += 1
    code = main.wait()
    build.read()
    return wrong + ([f"the first: exit code {code}"] if code else faults(build, reference))


def until_it_holds(build: Build) -> None:
    """The second command comes second."""
    while not (build.root / "building").is_file() or not (build.root / "building").read_text():
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30, help="commands beside")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance, done, wrong, builds = random.Random(args.seed), Counter(), [], 0
    with tempfile.TemporaryDirectory(prefix="two-terminals-") as name:
        build = prepared(Path(name))
        reference, whole = reference_of(build)
        while sum(done.values()) < args.times:
            build.forget()
            wrong += one_build(build, chance, whole, reference, done)
            builds += 1
            print(f"{sum(done.values())} commands beside {builds} builds, {len(wrong)} faults", flush=True)
    result = {"runs": len(reference), "builds": builds, "commands": dict(done), "faults": wrong}
    for key, value in result.items():
        print(f"{key}: {value}")
    write_json(Path("build/benchmarks/two_terminals.json"), result)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
