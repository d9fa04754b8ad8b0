"""The index of an arm: sizes and hashes of its records, written when all of them are there. Torch-free."""

from typing import Any

from normbench.config.spec import run_id
from normbench.core.files import write_json
from normbench.execution.records import is_current, sha256
from normbench.planning.folders import Folders
from normbench.planning.pipeline import arm_digest


def is_trained(folders: Folders, content: dict[str, Any], seed: int) -> bool:
    """Whether the run has its record. content: the arm's file."""
    return is_current(folders.record(run_id(content["arm"], seed)), content["spec"], content["code"])


def write_index(folders: Folders, content: dict[str, Any]) -> None:
    """index/<arm>.json, of the records as they lie there."""
    arm = content["arm"]
    paths = {run: folders.record(run) for run in (run_id(arm, seed) for seed in content["seeds"])}
    records = {run: {"bytes": path.stat().st_size, "sha256": sha256(path)} for run, path in paths.items()}
    write_json(folders.index(arm), {"arm": arm, "content": arm_digest(content), "records": records})
