"""What was measured at a tier, as samples and series: reads plan.json, runs.parquet, curves.parquet and probes.parquet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from normbench.errors import InputError, unknown
from normbench.line import read_content
from normbench.outcomes import Sample, Series
from normbench.papers import Operand, Paper
from normbench.tasks import Metric, read_task

TRAINED_BY = 10.0  # points above chance that make a learning rate count as stable, as in the ledger's trainable


class NotRun(Exception):
    """What a test reads was not trained here; the text says why."""


@dataclass
class Measured:
    """All that a tier holds. plan: plan.json; points: (paper, arm) -> [(swept values, arm id)]."""

    plan: dict[str, Any]
    points: dict[tuple[str, str], list[tuple[dict[str, Any], str]]]
    runs: pd.DataFrame
    curves: pd.DataFrame
    probes: pd.DataFrame

    @classmethod
    def read(cls, root: Path) -> "Measured":
        plan = read_content(root / "plan.json")
        points: dict[tuple[str, str], list] = {}
        for row in plan["points"]:
            points.setdefault((row["paper"], row["arm"]), []).append((row["point"], row["id"]))
        runs, curves, probes = (pd.read_parquet(root / f"{name}.parquet") for name in ("runs", "curves", "probes"))
        return cls(plan, points, runs, curves, probes)

    def __post_init__(self):
        self._values = {key: part for key, part in self.runs.groupby(["arm", "metric"])}
        self._status = {arm: part.drop_duplicates("run").sort_values("seed") for arm, part in self.runs.groupby("arm")}
        self._probes = {key: part for key, part in self.probes.groupby(["run", "quantity"])}
        self._curves = {key: part for key, part in self.curves.groupby(["run", "metric"])}

    @property
    def tier(self) -> str:
        return self.plan["tier"]

    def status(self, arm: str) -> pd.DataFrame:
        """One row a seed of an arm that was trained; raises NotRun where it was not, or where its method refuses."""
        if arm not in self._status:
            raise NotRun("its runs were not selected")
        rows = self._status[arm]
        if (rows.status == "refused").any():
            raise NotRun(f"the method {rows.method.iloc[0]} refuses to stand in this model")
        return rows

    def sample(self, arm: str, metric: str, label: str) -> Sample:
        """The metric of an arm over its seeds. A diverged run counts with what guessing reaches, where that means something."""
        rows = self.status(arm)
        told = metric_of(rows.task.iloc[0], metric)
        guess = guessing(told, rows.task.iloc[0], rows.dataset.iloc[0])
        found = self._values.get((arm, metric))
        values = dict(zip(found.seed, found.value, strict=True)) if found is not None else {}
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
        found = self._values.get((arm, metric))
        return [] if found is None else [float(v) for v in found[found.status == "finished"].sort_values("seed").value]

    def curve(self, run: str, metric: str) -> pd.Series | None:
        """One run's curve, values by step; None where it has none."""
        found = self._curves.get((run, metric))
        return None if found is None else found.set_index("step").value.sort_index()

    def probe(self, run: str, quantity: str) -> pd.Series | None:
        """What one run has of a probe over its blocks, values by k; None where nothing. A run that diverged has what came before."""
        found = self._probes.get((run, quantity))
        return None if found is None else found.dropna(subset=["k"]).groupby("k").value.mean().sort_index()

    def of(self, paper: Paper, operand: str | Operand, metric: str) -> Sample:
        """The sample that an operand of a claim names."""
        operand = Operand(arm=operand) if isinstance(operand, str) else operand
        points = self._points(paper, operand)
        label = label_of(paper, operand.arm)
        if operand.take == "best":
            point, arm = max(points, key=lambda p: (s := self.sample(p[1], metric, label)).sign * s.mean)
            return self.sample(arm, metric, f"{label} at {_point_words(point)}")
        if operand.take in ("best_lr", "stable_lr"):
            return self._rates(points, metric, operand.take, label)
        if len(points) != 1:
            raise InputError(f"papers/{paper.key}.yaml: the sweep {operand.arm!r} has {len(points)} points; `take` or `at` must choose")
        return self.sample(points[0][1], metric, label)

    def best_point(self, paper: Paper, arm: str, metric: str) -> tuple[str, str]:
        """(arm id, "" or the swept values in words): the only point of an arm, or the best mean of a sweep's."""
        points = self._points(paper, Operand(arm=arm))
        if len(points) == 1:
            return points[0][1], ""
        point, arm_id = max(points, key=lambda p: (s := self.sample(p[1], metric, arm)).sign * s.mean)
        return arm_id, _point_words(point)

    def _points(self, paper: Paper, operand: Operand) -> list[tuple[dict[str, Any], str]]:
        points = self.points.get((paper.key, operand.arm))
        if points is None:
            raise NotRun("its runs were not selected")
        chosen = [(p, arm) for p, arm in points if all(p.get(key) == value for key, value in operand.at.items())]
        if not chosen:
            raise NotRun(f"this tier's sweep {operand.arm} has no point at {_point_words(operand.at)}")
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
        tables, column = (self._curves, "step") if along == "step" else (self._probes, along)
        found = {int(seed): tables.get((run, quantity)) for run, seed in zip(ended.run, ended.seed, strict=True)}
        if not found or any(part is None for part in found.values()):
            raise NotRun(
                f"{label_of(paper, operand.arm)} has no {quantity.replace('_', ' ')}: "
                + ("every seed diverged" if not found else "nothing there can be measured")
            )
        parts = {seed: part.dropna(subset=[column]).groupby(column).value.mean() for seed, part in found.items()}
        x = sorted(set.intersection(*(set(p.index) for p in parts.values())))
        values = tuple(tuple(float(p[i]) for i in x) for p in parts.values())
        return Series(label_of(paper, operand.arm), tuple(map(float, x)), values, tuple(parts), "")


def metric_of(task: str, metric: str) -> Metric:
    metrics = read_task(task).metrics
    if metric not in metrics:
        raise unknown(f"tasks/{task}/task.yaml", "metric", metric, metrics)
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


def _point_words(point: dict[str, Any]) -> str:
    names = {"lr": "learning rate", "batch_size": "batch size"}
    return ", ".join(f"{names.get(key, key.replace('params.', '').replace('_', ' '))} {_value(value)}" for key, value in point.items())


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
