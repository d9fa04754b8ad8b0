"""What is finished so far: tables, verdicts, figures, a page and MLflow's runs of the complete arms, at any time.

    python -m normbench.reporting.so_far --config '{"tier": "laptop"}'

Beside a build that goes on it writes into build/<tier>/so_far/ and changes nothing else. --ended: the build has ended and some of its arms
have failed; then the results take their own places, and what failed is said wherever it was needed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from normbench.core.command import command
from normbench.execution.collect import collect_complete
from normbench.planning.pipeline import Pipeline, open_pipeline
from normbench.reporting.summary import summary

POLITE = 19  # niceness beside a build that trains


@command
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, default={}, help="as Snakemake's --config, as JSON")
    parser.add_argument("--ended", action="store_true", help="no job of the build is left; make everything in its own place")
    args = parser.parse_args()
    if not args.ended:
        os.nice(POLITE)
    return make_all(open_pipeline(args.config), args.ended)


def make_all(pipeline: Pipeline, ended: bool) -> int:
    """Make everything out of the complete arms. Returns 1 where a step failed; the others were made."""
    folders, plan = pipeline.folders, pipeline.shown
    done = [arm for arm in pipeline.done if folders.index(arm).is_file()]  # not what a pack offers and nobody has taken up yet
    if not done:
        print(f"{folders.root}: none of its {len(plan.arms)} arms is finished yet")
        return 0
    output = folders.root if ended else folders.so_far
    _forget_marks(folders.root) if ended else _lean_on(folders.root, output)
    plan.write(output)
    lacking = collect_complete(folders, plan, done, output, ended)
    failed = [step for step, words in steps(output).items() if subprocess.run([sys.executable, "-m", *words]).returncode]
    mirror = ("normbench.execution.mlflow_import", f"--root={folders.root}", f"--tracking-uri={pipeline.tracking_uri}")
    failed += ["mlflow"] if subprocess.run([sys.executable, "-m", *mirror]).returncode else []
    if (output / "claims.csv").is_file():
        print(summary(output))
    print(f"{len(plan.arms) - lacking} of {len(plan.arms)} arms are in it; {output / 'unfinished.csv'} lists the others")
    for step in failed:
        print(f"error: {step} could not be made, see above", file=sys.stderr)
    return int(bool(failed))


def steps(root: Path) -> dict[str, tuple[str, ...]]:
    """step -> the command that makes it from the tables in `root`, in an order in which each finds what it needs."""
    where = f"--root={root}"
    return {
        "claims": ("normbench.analysis.ledger", where),
        "tables": ("normbench.reporting.tables", where),
        "prediction": ("normbench.analysis.prediction", where, f"--output={root / 'prediction.csv'}"),
        "figures": ("normbench.reporting.figures", where),
        "report": ("normbench.reporting.report", where, f"--output={root / 'report.html'}"),
    }


def _forget_marks(root: Path) -> None:
    """They speak of files that are made anew now, and the next `snakemake all` makes them from all arms."""
    for mark in (*root.glob("made/*.json"), *root.glob("collected/*.json")):
        mark.unlink()


def _lean_on(root: Path, output: Path) -> None:
    """What the page reads beside the tables lies in the build's own folders."""
    output.mkdir(parents=True, exist_ok=True)
    for name in ("records", "pictures"):
        if not (output / name).is_symlink():
            (output / name).symlink_to(Path("..") / name)


if __name__ == "__main__":
    sys.exit(main())
