"""Records into MLflow:  python -m normbench.execution.mlflow_import --root build/quick --tracking-uri sqlite:///build/mlflow.db

The records are the truth and this is a mirror (mlflow_mirror.py). What is complete is imported, at any time, also while others are
trained; importing is repeated by the next `snakemake all` where the store was locked, absent or deleted.
"""

import argparse
import sys
from pathlib import Path

from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import write_if_changed
from normbench.core.gc_tuning import leave_imports_alone
from normbench.execution.mlflow_mirror import Mirror
from normbench.execution.mlflow_store import how_to_look, shown


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--done", type=Path, help="a file that says, once all is imported, into which store; unfinished arms are an error")
    args = parser.parse_args()
    leave_imports_alone()
    mirror, unfinished = _imported(args.root, args.tracking_uri)
    if args.done and unfinished:
        raise InputError(
            f"{mirror.folders.index(unfinished[0])}: this arm's records are not all there, whole and of this plan "
            f"({len(unfinished)} of {len(mirror.plan.arms)} arms); `snakemake all` makes them"
        )
    if args.done:
        # Also under the name that is asked for now that the store is there, where it was lost before.
        for mark in {args.done, mirror.folders.tracked(args.tracking_uri)}:
            write_if_changed(mark, f"{shown(args.tracking_uri)}\n")
            mark.touch()
    left = f", {len(unfinished)} arms are not complete yet" if unfinished else ""
    print(f"mlflow: {mirror.added} runs imported, {mirror.kept} were there{left}; {how_to_look(args.tracking_uri)}")


def import_records(root: Path, tracking_uri: str) -> tuple[int, int]:
    """Mirror the records of all arms of the plan that are complete; returns (imported, already there).

    Raises InputError where the store cannot be written.
    """
    mirror, _ = _imported(root, tracking_uri)
    return mirror.added, mirror.kept


def _imported(root: Path, tracking_uri: str) -> tuple[Mirror, list[str]]:
    """The mirror, and the arms that are not complete."""
    mirror = Mirror(root, tracking_uri)
    with mirror.alone():
        unfinished = [arm for arm in mirror.plan.arms if not mirror.is_complete(arm)]
        left = set(unfinished)
        for arm in mirror.plan.arms:
            if arm not in left:
                mirror.add(arm)
    return mirror, unfinished


if __name__ == "__main__":
    sys.exit(main())
