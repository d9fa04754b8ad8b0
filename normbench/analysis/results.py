"""What was measured at a tier, as samples and series: reads plan.json, runs.parquet, curves.parquet and probes.parquet.

Frames are taken apart once, into plain values and arrays: figures are drawn in forks of the process, where polars' threads are gone
and any of its operations may wait forever.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from normbench.analysis.partition import Partition, means
from normbench.claims.operands import NotEnded, NotRun, Operand
from normbench.claims.outcomes import Sample, Series
from normbench.config.papers import Paper, paper_file
from normbench.config.tasks import Metric, read_task, task_file
from normbench.core.errors import InputError, unknown
from normbench.execution.columns import CURVES, PROBES, RUNS
from normbench.execution.tables import empty_table, read_table
from normbench.execution.unfinished import Unfinished, read_unfinished
from normbench.planning.plan import Plan

TRAINED_BY = 10.0  # points above chance that make a learning rate count as stable, as in the ledger's trainable


class Run(NamedTuple):
    """What came of one seed of an arm."""

    run: str
    seed: int
    status: str
    task: str
    dataset: str
    method: str
    engine: str


@dataclass
class Measured:
    """All that a tier holds.

    runs, curves, probes: frames of the columns in execution/columns.py; the latter two are looked into when somebody asks for one.
    unfinished: the arms that failed or have not ended, by their ids.
    """

    plan: Plan
    runs: pl.DataFrame
    curves: pl.DataFrame
    probes: pl.DataFrame
    unfinished: dict[str, Unfinished] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> "Measured":
        tables = (read_table(root, file, pl.Categorical) for file in (CURVES, PROBES))
        return cls(*_metrics(root), *tables, read_unfinished(root))

    @classmethod
    def of_metrics(cls, root: Path) -> "Measured":
        """For whoever asks for no curve and no probe."""
        return cls(*_metrics(root), empty_table(CURVES), empty_table(PROBES))

    def __post_init__(self):
        self._values = Partition(self.runs, ("arm", "metric"), ("seed", "status", "value"))
        self._runs: dict[str, list[Run]] = {}
        each = self.runs.unique(["arm", "run"], keep="first", maintain_order=True).sort("seed", maintain_order=True)
        for arm, *fields in each.select("arm", *Run._fields).iter_rows():
            self._runs.setdefault(arm, []).append(Run(*fields))

    @cached_property
    def _curves(self) -> Partition:
        return Partition(self.curves, ("run", "metric"), ("step", "value"))

    @cached_property
    def _probes(self) -> Partition:
        return Partition(self.probes, ("run", "quantity"), ("k", "depth", "value"))

    def look_through(self) -> None:
        """Find where curves and probes stand now, not when one is asked for: before a process forks, so that its forks need not."""
        _ = self._curves, self._probes

    @property
    def tier(self) -> str:
        return self.plan.tier.tier

    def status(self, arm: str) -> list[Run]:
        """The seeds of an arm that was trained, in their order; raises NotRun where it was not, or where its method refuses."""
        runs = self.runs_of(arm)
        if not runs and arm in self.unfinished:
            raise NotEnded(self.unfinished[arm].why, self.unfinished[arm].status)
        if not runs:
            raise NotRun("its runs were not selected")
        if any(run.status == "refused" for run in runs):
            raise NotRun(f"the method {runs[0].method} refuses to stand in this model")
        return runs

    def runs_of(self, arm: str) -> list[Run]:
        """The seeds of an arm, whatever came of them; none where it was not trained."""
        return self._runs.get(arm, [])

    def values_of(self, arm: str, metric: str) -> dict[int, float]:
        """seed -> value of the runs that have one."""
        found = self._values.of(arm, metric)
        return {} if found is None else dict(zip(found["seed"].tolist(), found["value"].tolist(), strict=True))

    def sample(self, arm: str, metric: str, label: str) -> Sample:
        """The metric of an arm over its seeds. A diverged run counts with what guessing reaches, where that means something."""
        runs = self.status(arm)
        told = metric_of(runs[0].task, metric)
        guess = guessing(told, runs[0].task, runs[0].dataset)
        values = self.values_of(arm, metric)
        filled = [values.get(run.seed, guess) for run in runs]
        if any(v is None for v in filled):
            raise NotRun(f"{label} diverged and so has no {metric}")
        return Sample(
            label,
            tuple(map(float, filled)),
            tuple(run.seed for run in runs),
            tuple(run.status == "diverged" for run in runs),
            told.unit,
            told.direction,
            guess,
            "" if metric == told.unit.lower() else metric.replace("_", " "),  # 28.4 BLEU needs no other name
        )

    def finished(self, arm: str, metric: str) -> list[float]:
        """The metric of the seeds that finished, in their order."""
        found = self._values.of(arm, metric)
        if found is None:
            return []
        order = np.argsort(found["seed"], kind="stable")
        return [float(v) for v in found["value"][order][(found["status"] == "finished")[order]]]

    def curve(self, run: str, metric: str) -> pd.Series | None:
        """One run's curve, values by step; None where it has none."""
        found = self.curve_points(run, metric)
        return None if found is None else pd.Series(found[1], found[0])

    def curve_points(self, run: str, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
        """(steps, values) of one run's curve, the steps rising; None where it has none."""
        found = self._curves.of(run, metric)
        if found is None:
            return None
        steps, values = found["step"], found["value"]
        if (steps[1:] >= steps[:-1]).all():
            return steps, values
        order = np.argsort(steps, kind="stable")
        return steps[order], values[order]

    def probe(self, run: str, quantity: str) -> dict[int, float] | None:
        """What one run has of a probe over its blocks, values by k; None where nothing. A run that diverged has what came before."""
        found = self._probes.of(run, quantity)
        if found is None:
            return None
        places, values = means(found["k"], found["value"])
        return dict(zip(places.astype(int).tolist(), values.tolist(), strict=True))

    def of(self, paper: Paper, operand: str | Operand, metric: str) -> Sample:
        """The sample that an operand of a claim names."""
        operand = Operand(arm=operand) if isinstance(operand, str) else operand
        points = self._points(paper, operand)
        label = label_of(paper, operand.arm)
        if operand.take == "best":
            point, arm = max(points, key=lambda p: (s := self.sample(p[1], metric, label)).sign * s.mean)
            return self.sample(arm, metric, f"{label} at {point_words(point)}")
        if operand.take in ("best_lr", "stable_lr"):
            return self._rates(points, metric, operand.take, label)
        if len(points) != 1:
            raise InputError(f"{paper_file(paper.key)}: the sweep {operand.arm!r} has {len(points)} points; `take` or `at` must choose")
        return self.sample(points[0][1], metric, label)

    def best_point(self, paper: Paper, arm: str, metric: str) -> tuple[str, str]:
        """(arm id, "" or the swept values in words): the only point of an arm, or the best mean of a sweep's."""
        points = self._points(paper, Operand(arm=arm))
        if len(points) == 1:
            return points[0][1], ""
        point, arm_id = max(points, key=lambda p: (s := self.sample(p[1], metric, arm)).sign * s.mean)
        return arm_id, point_words(point)

    def _points(self, paper: Paper, operand: Operand) -> list[tuple[dict[str, Any], str]]:
        points = self.plan.points.get((paper.key, operand.arm))
        if because := self.plan.left_out.get((paper.key, operand.arm)):
            raise NotEnded(f"failed: {because}", "failed")
        if points is None:
            raise NotRun("its runs were not selected")
        chosen = [(p, arm) for p, arm in points if all(p.get(key) == value for key, value in operand.at.items())]
        if not chosen:
            raise NotRun(f"this tier's sweep {operand.arm} has no point at {point_words(operand.at)}")
        return chosen

    def _rates(self, points: list, metric: str, take: str, label: str) -> Sample:
        """Each seed's best learning rate, or the largest that trains (0 where none of the grid does)."""
        samples = [(float(point["lr"]), self.sample(arm, metric, label)) for point, arm in points]
        seeds = samples[0][1].seeds
        values = []
        for i in range(len(seeds)):
            if take == "best_lr":
                values.append(max(samples, key=lambda s: (s[1].sign * s[1].values[i], -s[0]))[0])
            else:
                values.append(
                    max((lr for lr, s in samples if not s.diverged[i] and s.sign * (s.values[i] - s.chance) >= TRAINED_BY), default=0.0)
                )
        words = "best learning rate" if take == "best_lr" else "largest stable learning rate"
        return Sample(label, tuple(values), seeds, (False,) * len(seeds), "", "higher", None, words)

    def sweep(self, paper: Paper, operand: Operand, along: str, metric: str) -> Series:
        """A swept setting as x, and at each the sample that `take` leaves."""
        values = sorted({p[along] for p, _ in self._points(paper, operand) if along in p})
        if len(values) < 2:
            raise NotRun(f"this tier's sweep {operand.arm} has one {along} only")
        samples = [self.of(paper, operand.model_copy(update={"at": {**operand.at, along: v}}), metric) for v in values]
        rows = tuple(tuple(s.values[i] for s in samples) for i in range(samples[0].n))
        return Series(samples[0].label, tuple(map(float, values)), rows, samples[0].seeds, samples[0].unit)

    def series(self, paper: Paper, operand: str | Operand, quantity: str, along: str) -> Series:
        """A probe over the blocks (along k) or a curve over the training (along step), of each seed that ended."""
        operand = Operand(arm=operand) if isinstance(operand, str) else operand
        (_, arm), *_ = self._points(paper, operand)
        ended = [run for run in self.status(arm) if run.status == "finished"]
        rows_of, column = (self._curves, "step") if along == "step" else (self._probes, along)
        found = {run.seed: rows_of.of(run.run, quantity) for run in ended}
        if not found or any(part is None for part in found.values()):
            raise NotRun(
                f"{label_of(paper, operand.arm)} has no {quantity.replace('_', ' ')}: "
                + ("every seed diverged" if not found else "nothing there can be measured")
            )
        parts = [dict(zip(*(axis.tolist() for axis in means(part[column], part["value"])), strict=True)) for part in found.values()]
        x = sorted(set.intersection(*map(set, parts)))
        values = tuple(tuple(part[i] for i in x) for part in parts)
        return Series(label_of(paper, operand.arm), tuple(map(float, x)), values, tuple(found), "")


def _metrics(root: Path) -> tuple[Plan, pl.DataFrame]:
    """plan and runs of the tier at `root`."""
    return Plan.read(root), read_table(root, RUNS, pl.Categorical)


def metric_of(task: str, metric: str) -> Metric:
    metrics = read_task(task).metrics
    if metric not in metrics:
        raise unknown(task_file(task), "metric", metric, metrics)
    return metrics[metric]


def guessing(metric: Metric, task: str, dataset: str) -> float | None:
    """What guessing reaches: 100 / classes percent of right answers, or nothing at all; None where guessing means nothing."""
    if metric.guess in (None, "zero"):
        return None if metric.guess is None else 0.0
    right = 100 / read_task(task).datasets[dataset].classes
    return right if metric.guess == "right" else 100 - right


def label_of(paper: Paper, arm: str) -> str:
    """An arm as the paper's tables call it: the row's title, and the column's where the row has several.

    One that no table shows goes by its name, without the word that all untrained networks' arms start with.
    """
    for table in paper.tables:
        for row in table.rows.values():
            for column, name in row.arms.items():
                if name == arm:
                    several = len(set(row.arms.values())) > 1
                    return f"{row.title} ({table.columns[column].title})" if several else row.title
    return arm.removeprefix("signal_").replace("_", " ")


def point_words(point: dict[str, Any]) -> str:
    """A sweep's point in words: learning rate 0.2, batch size 64."""
    names = {"lr": "learning rate", "batch_size": "batch size"}
    return ", ".join(f"{names.get(key, key.replace('params.', '').replace('_', ' '))} {_value(value)}" for key, value in point.items())


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
