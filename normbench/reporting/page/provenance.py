"""Where a tier's numbers come from and what they cost: data, versions, hashes; seconds and memory apart from all that repeats exactly."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from normbench.config.tasks import read_task

TAIL = 16_384  # bytes of a record behind its curves and probes


def provenance(runs: pd.DataFrame) -> dict[str, Any]:
    """Data sets with their hashes, methods with theirs, versions, devices and commits; how the runs ended."""
    each = runs.drop_duplicates("run")
    return {
        "data": [
            (dataset, read_task(task).datasets[dataset].says, sorted(set(part.data_sha256)), len(part))
            for (task, dataset), part in each.groupby(["task", "dataset"])
        ],
        "methods": [(method, sorted(set(part.method_sha256)), len(part)) for method, part in each.groupby("method")],
        "commits": [commit or "not recorded" for commit in sorted(set(each.git_commit))],
        "torch": sorted(set(each.torch)),
        "devices": sorted(set(each.device)),
        "endings": [(status, int(number)) for status, number in each.status.value_counts().sort_index().items()],
        "diverged": [
            (method, len(part), each.method.eq(method).sum()) for method, part in each[each.status == "diverged"].groupby("method")
        ],
    }


def cost(root: Path, runs: pd.DataFrame) -> dict[str, Any]:
    """Runs, seconds, the largest memory, and how much of the time was spent inside training steps (None where no record says)."""
    each = runs.drop_duplicates("run")
    steps = [_step_seconds(root / "records" / f"{run}.json") for run in each.run]
    known = [(inside, whole) for inside, whole in zip(steps, each.seconds, strict=True) if inside is not None]
    whole = sum(seconds for _, seconds in known)
    return {
        "runs": len(each),
        "seconds": float(each.seconds.sum()),
        "share": sum(inside for inside, _ in known) / whole if whole else None,
        "peak_mebibytes": float(each.peak_memory_bytes.max()) / 2**20 if len(each) else 0.0,
        "longest": [(row.run, float(row.seconds)) for row in each.nlargest(5, "seconds").itertuples()],
    }


def _step_seconds(path: Path) -> float | None:
    """Of a record, which has it near its end: a hundred thousand of them are not parsed for one number each."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            found = re.findall(rb'"step_seconds":\s*([-+.0-9eE]+)', file.read())
        return float(found[-1] if found else json.loads(path.read_text(encoding="utf-8"))["step_seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # a published tier has no records beside it
        return None
