"""Methods compared over tasks: who beats whom where both did the same, and how sure the seeds make the order.

A contest is a dataset, a network and a recipe, the same to the last setting, in which three or more methods stand, and whose
metric says what was learned. A method's score there is the share of the others whose mean it beats (a tie counts half); a task's
is the mean over its contests, and the whole the mean over tasks. Every mean is drawn again and again from its Student
distribution over seeds: scores are means over the draws and intervals their quantiles, so they say what other seeds would have
given, not what other tasks would.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from normbench.analysis.results import Measured, NotRun, metric_of
from normbench.config.method_files import check_params, read_method
from normbench.config.spec import ArmSpec, canonical, model_label
from normbench.config.tasks import read_task
from normbench.core.errors import InputError

FEWEST = 3  # methods of a contest
DRAWS = 1000
QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Contest:
    """values: method -> one value a seed, higher is better; a diverged seed has what guessing reaches."""

    task: str
    dataset: str
    model: str
    values: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Standing:
    """A method's place. score, low, high: share of the others that it beats; rank with its interval; tasks: task -> (score, contests)."""

    method: str
    score: float
    low: float
    high: float
    rank: float
    best: int
    worst: int
    tasks: dict[str, tuple[float, int]]


def contests(measured: Measured) -> list[Contest]:
    """All of a tier, in the order of its arms."""
    groups: dict[str, list[tuple[str, ArmSpec]]] = {}
    for arm, spec in measured.plan.arms.items():
        if read_task(spec.task).metrics[read_task(spec.task).headline].guess is not None:
            groups.setdefault(canonical([spec.task, spec.dataset, spec.model, spec.recipe]), []).append((arm, spec))
    found = []
    for group in groups.values():
        values = _values(measured, group)
        if len(values) >= FEWEST:
            spec = group[0][1]
            found.append(Contest(spec.task, spec.dataset, model_label(spec.model), values))
    return found


def _values(measured: Measured, group: list[tuple[str, ArmSpec]]) -> dict[str, tuple[float, ...]]:
    """method -> values; of several variants of a method the one that departs least from its usual parameters."""
    variants: dict[str, tuple[int, str, tuple[float, ...]]] = {}
    for arm, spec in group:
        headline = read_task(spec.task).headline
        try:
            sample = measured.sample(arm, headline, spec.method)
        except NotRun:
            continue
        sign = -1 if metric_of(spec.task, headline).direction == "lower" else 1
        mine = (_departures(measured, spec), arm, tuple(sign * v for v in sample.values))
        variants[spec.method] = min(variants.get(spec.method, mine), mine)
    return {method: values for method, (_, _, values) in sorted(variants.items())}


def _departures(measured: Measured, spec: ArmSpec) -> int:
    """How many parameters are not the method's (or, where the tier sets them, the tier's) own."""
    usual = measured.plan.tier.afforded(spec.task).params.get(spec.method, {})
    try:
        own = check_params(read_method(spec.method), usual, "ranking")
    except InputError:  # a method whose file is gone since
        return 0
    return sum(own.get(key) != value for key, value in spec.params.items())


def standings(found: list[Contest]) -> list[Standing]:
    """Every method that stood in a contest, the best first."""
    methods = sorted({method for contest in found for method in contest.values})
    if not methods:
        return []
    tasks = sorted({contest.task for contest in found})
    rng, place = np.random.default_rng(0), {method: i for i, method in enumerate(methods)}
    draws, counts = np.zeros((len(tasks), len(methods), DRAWS)), np.zeros((len(tasks), len(methods), 1))
    for contest in found:
        at, names = tasks.index(contest.task), [place[method] for method in contest.values]
        draws[at, names] += _shares(np.array([_drawn(v, rng) for v in contest.values.values()]))
        counts[at, names] += 1
    with np.errstate(invalid="ignore"):
        drawn = draws / counts
    by_task, wholes = drawn.mean(axis=2), np.nanmean(drawn, axis=0)
    whole = wholes.mean(axis=1)
    ranks = np.quantile(rankdata(-wholes, axis=0), QUANTILES, axis=1, method="nearest")
    result = []
    for i, method in enumerate(methods):
        mine = {task: (float(by_task[t, i]), int(counts[t, i, 0])) for t, task in enumerate(tasks) if counts[t, i, 0]}
        low, high = (float(q) for q in np.quantile(wholes[i], QUANTILES))
        rank = float(rankdata(-whole)[i])
        result.append(Standing(method, float(whole[i]), low, high, rank, int(ranks[0, i]), int(np.ceil(ranks[1, i])), mine))
    return sorted(result, key=lambda one: (-one.score, one.method))


def _shares(means: np.ndarray) -> np.ndarray:
    """(methods, draws) of means -> the share of the others that each beats."""
    return (rankdata(means, axis=0) - 1) / (len(means) - 1)


def _drawn(values: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """Means that as many seeds with this spread may have had; one seed is taken as it is."""
    n = len(values)
    if n < 2:
        return np.full(DRAWS, values[0])
    return np.mean(values) + np.std(values, ddof=1) / np.sqrt(n) * rng.standard_t(n - 1, DRAWS)


def comparison(measured: Measured) -> dict[str, Any]:
    """What the page shows: standings, tasks, and the contests behind them as (task, dataset, network, methods)."""
    found = contests(measured)
    told: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for one in found:
        told[one.task, one.dataset, one.model].append(len(one.values))
    return {
        "standings": [asdict(one) for one in standings(found)],
        "tasks": sorted({contest.task for contest in found}),
        "contests": [(*key, numbers) for key, numbers in told.items()],
    }
