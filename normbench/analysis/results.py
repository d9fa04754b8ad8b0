"""What was measured at a tier, as samples and series: reads plan.json, runs.parquet, curves.parquet and probes.parquet."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from normbench.analysis.blocks import Blocks, Table, means, read_table
from normbench.claims.operands import NotRun, Operand
from normbench.claims.outcomes import Sample, Series
from normbench.config.papers import Paper, paper_file
from normbench.config.tasks import Metric, read_task, task_file
from normbench.core.errors import InputError, unknown
from normbench.planning.plan import Plan

# Columns of runs.parquet whose texts repeat.
WORDS = ("task", "dataset", "model", "method", "params", "arm", "tier", "status", "metric", "unit")
WORDS += ("method_sha256", "data_sha256", "git_commit", "torch", "device", "engine")
TRAINED_BY = 10.0  # points above chance that make a learning rate count as stable, as in the ledger's trainable


@dataclass
class Measured:
    """All that a tier holds.

    curves and probes are looked into when somebody asks for one.
    """

    plan: Plan
    runs: pd.DataFrame
    curves: Table
    probes: Table

    @classmethod
    def read(cls, root: Path) -> "Measured":
        plan, runs = _metrics(root)
        curves = read_table(root / "curves.parquet", ("run", "metric"))
        probes = read_table(root / "probes.parquet", ("run", "layer", "quantity"))
        return cls(plan, runs, curves, probes)

    @classmethod
    def of_metrics(cls, root: Path) -> "Measured":
        """For whoever asks for no curve and no probe."""
        return cls(
            *_metrics(root),
            pd.DataFrame(columns=["run", "metric", "step", "value"]),
            pd.DataFrame(columns=["run", "quantity", "k", "depth", "value"]),
        )

    def __post_init__(self):
        self._values = Blocks(self.runs, ("arm", "metric"), ("seed", "status", "value"))
        each = self.runs.drop_duplicates(["arm", "run"])
        self._status = {str(arm): part.sort_values("seed", kind="stable") for arm, part in each.groupby("arm", observed=True)}

    @cached_property
    def _curves(self) -> Blocks:
        return Blocks(self.curves, ("run", "metric"), ("step", "value"))

    @cached_property
    def _probes(self) -> Blocks:
        return Blocks(self.probes, ("run", "quantity"), ("k", "depth", "value"))

    def look_through(self) -> None:
        """Find where curves and probes stand now, not when one is asked for: before a process forks, so that its forks need not."""
        _ = self._curves, self._probes

    @property
    def tier(self) -> str:
        return self.plan.tier.tier

    def status(self, arm: str) -> pd.DataFrame:
        """One row a seed of an arm that was trained; raises NotRun where it was not, or where its method refuses."""
        if arm not in self._status:
            raise NotRun("its runs were not selected")
        rows = self._status[arm]
        if (rows.status == "refused").any():
            raise NotRun(f"the method {rows.method.iloc[0]} refuses to stand in this model")
        return rows

    def runs_of(self, arm: str) -> pd.DataFrame:
        """One row a seed of an arm, whatever came of it; no rows where it was not trained."""
        return self._status.get(arm, self.runs[:0])

    def values_of(self, arm: str, metric: str) -> dict[int, float]:
        """seed -> value of the runs that have one."""
        found = self._values.of(arm, metric)
        return {} if found is None else dict(zip(found["seed"].tolist(), found["value"].tolist(), strict=True))

    def sample(self, arm: str, metric: str, label: str) -> Sample:
        """The metric of an arm over its seeds. A diverged run counts with what guessing reaches, where that means something."""
        rows = self.status(arm)
        told = metric_of(rows.task.iloc[0], metric)
        guess = guessing(told, rows.task.iloc[0], rows.dataset.iloc[0])
        values = self.values_of(arm, metric)
        diverged = tuple(bool(s) for s in rows.status == "diverged")
        filled = [values.get(seed, guess) for seed in rows.seed]
        if any(v is None for v in filled):
            raise NotRun(f"{label} diverged and so has no {metric}")
        return Sample(
            label,
            tuple(map(float, filled)),
            tuple(map(int, rows.seed)),
            diverged,
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

    def probe(self, run: str, quantity: str) -> pd.Series | None:
        """What one run has of a probe over its blocks, values by k; None where nothing. A run that diverged has what came before."""
        found = self._probes.of(run, quantity)
        if found is None:
            return None
        places, values = means(found["k"], found["value"])
        return pd.Series(values, places.astype(int))

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
        rows = self.status(arm)
        ended = rows[rows.status == "finished"]
        blocks, column = (self._curves, "step") if along == "step" else (self._probes, along)
        found = {int(seed): blocks.of(run, quantity) for run, seed in zip(ended.run, ended.seed, strict=True)}
        if not found or any(part is None for part in found.values()):
            raise NotRun(
                f"{label_of(paper, operand.arm)} has no {quantity.replace('_', ' ')}: "
                + ("every seed diverged" if not found else "nothing there can be measured")
            )
        parts = [dict(zip(*(axis.tolist() for axis in means(part[column], part["value"])), strict=True)) for part in found.values()]
        x = sorted(set.intersection(*map(set, parts)))
        values = tuple(tuple(part[i] for i in x) for part in parts)
        return Series(label_of(paper, operand.arm), tuple(map(float, x)), values, tuple(found), "")


def _metrics(root: Path) -> tuple[Plan, pd.DataFrame]:
    """plan and runs of the tier at `root`."""
    return Plan.read(root), read_table(root / "runs.parquet", WORDS).to_pandas()


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
