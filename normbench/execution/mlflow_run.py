"""What a run of MLflow's says of a record: tags, params, metrics, and when it was trained. Loads no MLflow."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from normbench.execution.records import Record
from normbench.planning.plan import Plan

TAG = 8000  # characters that MLflow takes of a tag
PARAM = 6000  # and of a param
BAR = "|"

Point = tuple[str, float, int]  # metric, value, step


def tags_of(record: Record, plan: Plan, sha: str, build: str) -> dict[str, str]:
    """sha: of the record's file. build: where that lies.

    A run may be several papers' arms: `paper` and `paper_arm` have each of them between bars, "|norm_matters|skipinit|", so that LIKE
    '%|skipinit|%' finds that paper and no other whose name begins or ends alike.
    """
    names = plan.names.get(record.arm, [])
    tags = {
        "run": record.run,
        "mlflow.runName": record.run,
        "arm": record.arm,
        "paper": between_bars(sorted({name.partition("/")[0] for name in names})),
        "paper_arm": between_bars(names),
        "tier": record.tier,
        "task": record.spec["task"],
        "method": record.spec["method"],
        "model": " ".join(plan.model_names(record.arm)),
        "dataset": record.spec["dataset"],
        "seed": str(record.seed),
        "status": record.status,
        "cause": record.cause,
        "infinite": ", ".join(f"{name}={value} at step {step}" for name, value, step in points_of(record) if math.isinf(value)),
        "git_commit": record.git_commit,
        "build": build,
        "record_sha256": sha,
    }
    return {name: value[:TAG] for name, value in tags.items() if value}


def between_bars(names: list[str]) -> str:
    """|a|b|; only so many whole names as a tag holds."""
    text = "".join(f"{BAR}{name}" for name in names) + BAR if names else ""
    return text if len(text) <= TAG else text[: text.rindex(BAR, 0, TAG) + 1]


def params_of(record: Record) -> dict[str, str]:
    """What determines the run: its spec, each key with those above it, and its seed."""
    return {name: str(value)[:PARAM] for name, value in _flat(record.spec).items()} | {"seed": str(record.seed)}


def points_of(record: Record) -> list[Point]:
    """The curves, each as curve/<metric>, and the metrics, at the last step that a curve has."""
    last = max((step for points in record.curves.values() for step, _ in points), default=0)
    curves = [(f"curve/{name}", value, step) for name, points in record.curves.items() for step, value in points]
    return curves + [(name, value, last) for name, value in record.metrics.items()]


def stored_points(record: Record) -> list[Point]:
    """Those that a store keeps as they are: "not a number" it does, infinity would become 1.8e308. The tag `infinite` has these."""
    return [point for point in points_of(record) if not math.isinf(point[1])]


def times_of(record: Record, path: Path) -> tuple[int, int]:
    """Begin and end of the training, in milliseconds since 1970; where the record does not say, its file was written at the end."""
    ended = record.ended or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return _milliseconds(ended - timedelta(seconds=record.seconds)), _milliseconds(ended)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in data.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
