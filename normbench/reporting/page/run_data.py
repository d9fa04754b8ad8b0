"""Every run with its curves, small enough for a page: arms with their settings, seeds with what came of them, thinned curves.

A curve is whole numbers of a thousand levels between the arm's lowest and highest value, finer than a screen shows.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from normbench.analysis.results import Measured, NotRun
from normbench.config.tasks import read_task

LEVELS = 999
POINTS = 32  # of a curve; more than half of a chart's width in pixels would not show
MOST_POINTS = 600_000  # of a page
FEWEST = 12
LOGARITHMIC_ABOVE = 30.0


@dataclass(frozen=True)
class Room:
    """points: of each curve. seeds: of each arm that have curves; None: all."""

    points: int
    seeds: int | None


def room(curves: int, most_seeds: int) -> Room:
    """What a page can hold of so many curves: fewer points of each first, then curves of fewer seeds."""
    points = min(POINTS, max(FEWEST, MOST_POINTS // max(1, curves)))
    if points * curves <= MOST_POINTS:
        return Room(points, None)
    return Room(points, max(1, int(most_seeds * MOST_POINTS / (points * curves))))


def run_data(measured: Measured, arms: list[str]) -> dict[str, Any]:
    """{arms: [...], seeds: None or how many have curves}: in the order of `arms`, each with spec, metric, runs and curves."""
    shown = [(arm, _metrics(measured, arm)) for arm in arms]
    counts = [len(measured.runs_of(arm)) for arm in arms]
    given = room(sum(n * len(metrics) for n, (_, metrics) in zip(counts, shown, strict=True)), max(counts, default=1))
    return {"arms": [_arm(measured, arm, metrics, given) for arm, metrics in shown], "seeds": given.seeds}


def _metrics(measured: Measured, arm: str) -> list[str]:
    """The curves worth a look: what was trained on, and what the task is about."""
    task = read_task(measured.plan.arms[arm].task)
    return ["train_loss", task.headline]


def _arm(measured: Measured, arm: str, metrics: list[str], given: Room) -> dict[str, Any]:
    spec, found = measured.plan.arms[arm], measured.runs_of(arm)
    headline = metrics[-1]
    values = measured.values_of(arm, headline)
    runs = [[run.seed, run.status, _short(values.get(run.seed))] for run in found]
    with_curves = [run.run for run in found[: given.seeds]]
    curves = [one for metric in metrics if (one := _curves(measured, with_curves, metric, given.points))]
    return {"id": arm, "spec": asdict(spec), "metric": headline, "runs": runs, "curves": curves}


def _curves(measured: Measured, runs: list[str], metric: str, points: int) -> dict[str, Any] | None:
    """{metric, log, low, high, x: [steps], y: [[levels] or None of each run]}; runs of one arm share their steps as far as they got."""
    found = [measured.curve_points(run, metric) for run in runs]
    longest = max((len(steps) for steps, _ in filter(None, found)), default=0)
    if longest < 2:
        return None
    grid = next(steps for steps, _ in filter(None, found) if len(steps) == longest)
    stretch = np.arange(longest) * min(points, longest) // longest
    starts = np.flatnonzero(np.r_[True, stretch[1:] != stretch[:-1]])
    x = np.add.reduceat(grid.astype(float), starts) / np.diff(np.r_[starts, longest])
    thinned = [None if one is None else _thin(one[1], starts) for one in found]
    finite = np.concatenate([values[np.isfinite(values)] for values in thinned if values is not None])
    if not len(finite):
        return None
    low, high = float(finite.min()), float(finite.max())
    log = low > 0 and high / low > LOGARITHMIC_ABOVE
    ends = (math.log10(low), math.log10(high)) if log else (low, high)
    levels = [None if values is None else _levels(values, ends, log) for values in thinned]
    return {"metric": metric, "log": log, "low": _short(ends[0]), "high": _short(ends[1]), "x": [round(v) for v in x.tolist()], "y": levels}


def _thin(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Means over stretches; of a run that ended early, as far as it got."""
    mine = starts[starts < len(values)]
    with np.errstate(invalid="ignore", over="ignore"):
        return np.add.reduceat(values.astype(float), mine) / np.diff(np.r_[mine, len(values)])


def _levels(values: np.ndarray, ends: tuple[float, float], log: bool) -> list[int | None]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        placed = ((np.log10(values) if log else values) - ends[0]) / ((ends[1] - ends[0]) or 1.0)
    return [round(LEVELS * v) if math.isfinite(v) else None for v in placed.tolist()]


def _short(value: float | None) -> float | None:
    """Five digits; None where there is no number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def arms_shown(measured: Measured, wanted: list[str]) -> list[str]:
    """Those of `wanted` that have runs, each once, in their order."""
    found = []
    for arm in dict.fromkeys(wanted):
        try:
            measured.status(arm)
        except NotRun:
            continue
        found.append(arm)
    return found
