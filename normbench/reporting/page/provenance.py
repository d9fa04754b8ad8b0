"""Where a tier's numbers come from and what they cost: data, versions, hashes; seconds and memory apart from all that repeats exactly."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from normbench.config.tasks import read_task

TAIL = 16_384  # bytes of a record behind its curves and probes


def provenance(runs: pl.DataFrame) -> dict[str, Any]:
    """Data sets with their hashes, methods with theirs, versions, devices and commits; how the runs ended."""
    each = _each(runs)
    methods, lost = _by(each, "method"), _by(each.filter(pl.col("status") == "diverged"), "method")
    return {
        "data": [
            (dataset, read_task(task).datasets[dataset].says, _distinct(part, "data_sha256"), len(part))
            for (task, dataset), part in _by(each, "task", "dataset").items()
        ],
        "methods": [(method, _distinct(part, "method_sha256"), len(part)) for (method,), part in methods.items()],
        "commits": [commit or "not recorded" for commit in _distinct(each, "git_commit")],
        "torch": _distinct(each, "torch"),
        "devices": _distinct(each, "device"),
        "endings": [(status, len(part)) for (status,), part in _by(each, "status").items()],
        "diverged": [(method, len(part), len(methods[method,])) for (method,), part in lost.items()],
    }


def cost(root: Path, runs: pl.DataFrame) -> dict[str, Any]:
    """Runs, seconds, the largest memory, and how much of the time was spent inside training steps (None where no record says)."""
    each = _each(runs)
    steps = [_step_seconds(root / "records" / f"{run}.json") for run in each["run"]]
    known = [(inside, whole) for inside, whole in zip(steps, each["seconds"], strict=True) if inside is not None]
    whole = sum(seconds for _, seconds in known)
    return {
        "runs": len(each),
        "seconds": each["seconds"].sum(),
        "share": sum(inside for inside, _ in known) / whole if whole else None,
        "peak_mebibytes": (each["peak_memory_bytes"].max() or 0) / 2**20,
        "longest": each.sort("seconds", descending=True, maintain_order=True).head(5).select("run", "seconds").rows(),
    }


def _each(runs: pl.DataFrame) -> pl.DataFrame:
    """One row a run."""
    return runs.unique("run", keep="first", maintain_order=True)


def _by(runs: pl.DataFrame, *columns: str) -> dict[tuple[str, ...], pl.DataFrame]:
    """The rows of each combination of values, in the order of these."""
    return dict(sorted(runs.partition_by(columns, as_dict=True).items()))


def _distinct(runs: pl.DataFrame, column: str) -> list[str]:
    return sorted(runs[column].unique())


def _step_seconds(path: Path) -> float | None:
    """Of a record, which has it near its end: a hundred thousand of them are not parsed for one number each."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            found = re.findall(rb'"step_seconds":\s*([-+.0-9eE]+)', file.read())
        return float(found[-1] if found else json.loads(path.read_text(encoding="utf-8"))["step_seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # a published tier has no records beside it
        return None
