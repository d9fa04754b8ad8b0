"""How right the rule of prediction.csv is, in numbers and sentences: confusion, balanced accuracy, rank correlations with speed.

Intervals are over methods, drawn with replacement with all their arms: the arms of one method resemble each other, and
what is asked is how the rule does on the next method.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from normbench.analysis.prediction import FEWEST, properties
from normbench.core.formatting import counted, joined

DRAWS, LEAST_DRAWS = 1000, 500  # resamples, and how many of them must have a value for an interval
GUESSING = 0.5  # balanced accuracy of whoever says the same of all arms
Interval = tuple[float, float] | None


def names() -> dict[str, str]:
    """Column -> what it is called in a sentence: the rule's probability, and all properties."""
    called = {column: metric.replace("_", " ") + (" (log10)" if column != metric else "") for column, metric in properties().items()}
    return {"probability": "probability of the rule", **called}


@dataclass(frozen=True)
class Rank:
    """Spearman's rank correlation with speed, over n arms; rho is None where everything is equal."""

    name: str
    n: int
    rho: float | None
    interval: Interval


@dataclass(frozen=True)
class Score:
    """confusion: (trained, predicted) -> arms. balanced: None with one outcome only. base: share of the more frequent outcome."""

    arms: int
    methods: int
    unseen: int
    confusion: dict[tuple[bool, bool], int]
    balanced: float | None
    interval: Interval
    base: float
    ranks: tuple[Rank, ...]
    says: tuple[str, ...]


def score(table: pd.DataFrame) -> Score:
    """Of a whole prediction.csv; arms without a prediction are counted as `unseen` and enter nothing else."""
    known = table[table.predicted.notna()]
    trained, predicted = known.trained.to_numpy(bool), known.predicted.to_numpy(bool)
    confusion = {(a, b): int(((trained == a) & (predicted == b)).sum()) for a in (True, False) for b in (True, False)}
    balanced = interval = None
    if len(set(trained)) == 2:
        balanced = balanced_accuracy(trained, predicted)
        interval = over_methods(known, lambda rows: balanced_accuracy(trained[rows], predicted[rows]))
    ranks = tuple(_rank(name, known) for name in names())
    base = max(trained.mean(), 1 - trained.mean()) if len(known) else math.nan
    numbers = (len(known), known.method.nunique(), len(table) - len(known), confusion, balanced, interval, float(base), ranks)
    return Score(*numbers, tuple(_sentences(table, *numbers)))


def balanced_accuracy(trained: np.ndarray, predicted: np.ndarray) -> float:
    """Mean of the shares that are right among the arms that trained and among those that failed; nan without one of them."""
    if trained.all() or not trained.any():
        return math.nan
    return float((predicted[trained].mean() + (~predicted[~trained]).mean()) / 2)


def over_methods(known: pd.DataFrame, statistic: Callable[[np.ndarray], float]) -> Interval:
    """95% percentile interval of statistic(row numbers) over draws of methods; None where most draws have no value."""
    rng = np.random.default_rng(0)
    methods = sorted(set(known.method))
    rows = [np.flatnonzero(known.method == method) for method in methods]
    if len(methods) < 3:
        return None
    draws = [statistic(np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])) for _ in range(DRAWS)]
    values = [v for v in draws if math.isfinite(v)]
    return tuple(float(q) for q in np.quantile(values, (0.025, 0.975))) if len(values) >= LEAST_DRAWS else None


def _rank(name: str, known: pd.DataFrame) -> Rank:
    both = known[known[name].notna() & known.speed.notna()]
    x, speed = both[name].to_numpy(float), both.speed.to_numpy(float)
    if len(both) < 3 or len(set(x)) == 1 or len(set(speed)) == 1:
        return Rank(name, len(both), None, None)
    return Rank(name, len(both), float(spearmanr(x, speed).statistic), over_methods(both, _spearman(x, speed)))


def _spearman(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], float]:
    """scipy's spearmanr of x[rows] and y[rows], for thousands of draws of rows: values are sorted once, no p-value is worked out."""
    places = [np.unique(values, return_inverse=True)[1] for values in (x, y)]

    def correlation(rows: np.ndarray) -> float:
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # a draw in which all are equal has no correlation: nan
            return float(np.corrcoef(*(_ranks(place[rows]) for place in places))[0, 1])

    return correlation


def _ranks(places: np.ndarray) -> np.ndarray:
    """Ranks of small whole numbers; what is equal shares the mean of its ranks."""
    counts = np.bincount(places)
    return (counts.cumsum() - (counts - 1) / 2)[places]


def _sentences(table, arms, methods, unseen, confusion, balanced, interval, base, ranks):
    if not arms:
        yield _nothing(table)
        return
    right = confusion[True, True] + confusion[False, False]
    yield (
        f"Of {counted(arms, 'arm')} of {counted(methods, 'method')}, a rule that never saw the arm's method is right about {right} "
        f"({right / arms:.0%}); saying the more frequent outcome of all is right about {base:.0%}."
    )
    if balanced is None:
        yield "All of these arms ended alike, so whether the rule tells them apart cannot be said."
    else:
        yield _verdict(balanced, interval)
    if unseen:
        yield f"{counted(unseen, 'arm')} could not be judged: nothing was measured before training, or no rule can be fitted on the others."
    yield _ranks_say(ranks)


def _nothing(table: pd.DataFrame) -> str:
    """Why no arm was judged."""
    measured = table[table[list(properties())].notna().any(axis=1)]
    if len(measured) and measured.trained.nunique() < 2:
        ended = "trained" if measured.trained.iloc[0] else "failed"
        return f"No rule can be fitted: all {counted(len(measured), 'arm')} with measurements before training {ended}."
    return (
        f"No rule can be fitted: {counted(len(measured), 'arm')} of {counted(measured.method.nunique(), 'method')} with measurements "
        f"before training; at least {FEWEST} arms of other methods, some trained and some failed, are needed."
    )


def _verdict(balanced: float, interval: Interval) -> str:
    text = f"Balanced accuracy {balanced:.2f}{_interval(interval)}, where guessing reaches {GUESSING:.2f}: "
    if interval is None:
        return text + "too few methods for an interval, so this says little."
    if interval[0] > GUESSING:
        return text + "untrained networks tell something about methods that the rule has never seen."
    if interval[1] < GUESSING:
        return text + "worse than guessing, so these properties do not predict whether an unseen method trains."
    return text + "these properties do not predict whether an unseen method trains."


def _ranks_say(ranks: tuple[Rank, ...]) -> str:
    telling = [r for r in ranks if r.interval is not None and (r.interval[0] > 0 or r.interval[1] < 0)]
    if not telling:
        return "Neither the rule nor any single property orders the arms by speed: every interval holds zero."
    return f"Speed goes with {joined([f'{names()[r.name]} {r.rho:+.2f}{_interval(r.interval)}' for r in telling])} (Spearman)."


def _interval(interval: Interval) -> str:
    return "" if interval is None else f" (95% {interval[0]:.2f} to {interval[1]:.2f})"
