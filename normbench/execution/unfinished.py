"""Arms without results: what failed, with its reason and its log, and what has not ended yet. Torch-free.

A job leaves failures/<arm>.json where an arm fails; the next command that tries again takes it away. unfinished.csv lists the arms of a
plan that the tables beside it lack; it is empty where all are there.
"""

import csv
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.files import read_json, whole_file, write_json
from normbench.execution.index import is_trained
from normbench.planning.folders import Folders
from normbench.planning.pipeline import arm_content
from normbench.planning.plan import Plan

NAME = "unfinished.csv"
FAILED, WAITING = "failed", "not finished"


@dataclass(frozen=True)
class Unfinished:
    """An arm without results. status: failed or not finished. trained: of its seeds. log: below build/<tier>, "" where nothing began."""

    arm: str
    paper_arms: str
    task: str
    dataset: str
    model_name: str
    method: str
    seeds: int
    trained: int
    status: str
    because: str
    log: str

    @property
    def names(self) -> list[str]:
        """What papers call the arm: paper/arm."""
        return json.loads(self.paper_arms)

    @property
    def why(self) -> str:
        """In words, for a verdict or a cell: failed: <reason> (<log>)."""
        return f"failed: {self.because} ({self.log})" if self.status == FAILED else "its runs have not finished yet"


def note_failure(folders: Folders, arm: str, because: str, job: str) -> None:
    """Say why an arm failed, and in which job's log more of it stands."""
    write_json(folders.failure(arm), {"arm": arm, "because": because, "log": log_of(job)})


def forget_failure(folders: Folders, arm: str) -> None:
    folders.failure(arm).unlink(missing_ok=True)


def log_of(job: str) -> str:
    return f"logs/{job}.log"


def find_unfinished(folders: Folders, plan: Plan, arms: Collection[str], ended: bool) -> list[Unfinished]:
    """A row for each of these arms. ended: no job of theirs is left, so that what began and has no result has failed."""
    began = _logs(folders, set(arms))
    return [_row(folders, plan, arm, began.get(arm, ""), ended) for arm in arms]


def _row(folders: Folders, plan: Plan, arm: str, log: str, ended: bool) -> Unfinished:
    spec, status, because = plan.arms[arm], WAITING, ""
    try:
        said = read_json(folders.failure(arm))
        status, because, log = FAILED, str(said["because"]), str(said["log"])
    except (InputError, KeyError, TypeError):
        if ended and log:
            status, because = FAILED, "its job ended without saying why: killed, out of memory, or out of time"
    called = plan.called(arm)
    content = arm_content(plan, arm)
    trained = sum(is_trained(folders, content, seed) for seed in content["seeds"])
    about = (arm, called["paper_arms"], spec.task, spec.dataset, called["model_name"], spec.method)
    return Unfinished(*about, len(plan.seeds(arm)), trained, status, because, log)


def _logs(folders: Folders, arms: set[str]) -> dict[str, str]:
    """arm -> the log of the last job that began with it."""
    found: dict[str, str] = {}
    for log in sorted((folders.root / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime):
        try:
            own = read_json(folders.job(log.stem))["arms"]
        except (InputError, KeyError, TypeError):
            continue
        found |= dict.fromkeys(arms & set(own), log_of(log.stem))
    return found


def write_unfinished(root: Path, rows: list[Unfinished]) -> None:
    with whole_file(root / NAME, "w") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Unfinished)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))


def read_unfinished(root: Path) -> dict[str, Unfinished]:
    """arm -> why it has no results; of a folder without such a file, nothing."""
    if not (root / NAME).is_file():
        return {}
    with open(root / NAME, encoding="utf-8", newline="") as file:
        rows = [Unfinished(**{**row, "seeds": int(row["seeds"]), "trained": int(row["trained"])}) for row in csv.DictReader(file)]
    return {row.arm: row for row in rows}
