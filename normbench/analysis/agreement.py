"""Do two tiers put methods in the same order? How far the ranks of each table's columns agree where both tiers have run.

A column of a paper's table is one dataset, network and metric, with a method or a variant of one in each row. Means over seeds
order its rows at either tier; Kendall's tau-b compares the two orders. Much of what disagrees there is the seeds' doing, so
the pairs of rows that both tiers tell apart (the 95% interval of Welch's difference leaves out zero) are counted by themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from normbench.analysis.results import Measured, NotRun
from normbench.claims.outcomes import Sample
from normbench.claims.stats import Correlation, difference, kendall
from normbench.config.papers import Paper, Table
from normbench.planning.pipeline import other_tiers

FEWEST = 3  # rows that have an order to speak of


@dataclass(frozen=True)
class Agreement:
    """One column at two tiers. told: pairs of arms that both tiers tell apart -> whether they stand in the same order at both."""

    paper: str
    table: str
    column: str
    metric: str
    arms: tuple[str, ...]
    tau: Correlation
    told: dict[frozenset[str], bool]


@dataclass(frozen=True)
class Compared:
    """A tier against another one, called `tier`. told: over all columns, a pair that stands in several of them once; same: of those."""

    tier: str
    columns: list[Agreement]
    told: int
    same: int


def compared(root: Path, papers: list[Paper], here: Measured) -> list[Compared]:
    """The tier at `root` against each other tier beside it that has run."""
    found = []
    for folder in other_tiers(root):
        columns = agreements(papers, here, Measured.of_metrics(folder))
        told = {(one.paper, one.metric, pair): same for one in columns for pair, same in one.told.items()}
        found.append(Compared(folder.name, columns, len(told), sum(told.values())))
    return found


def agreements(papers: list[Paper], here: Measured, there: Measured) -> list[Agreement]:
    """Every column of which both tiers have measured enough rows; one that stands in several tables is there once."""
    found: dict[tuple, Agreement] = {}
    for paper in papers:
        for table in paper.tables:
            for column in table.columns:
                pairs = list(_measured_at_both(paper, table, column, here, there))
                if len(pairs) >= FEWEST:
                    one = _agreement(paper, table, column, pairs)
                    found.setdefault((one.paper, one.metric, *sorted(one.arms)), one)
    return list(found.values())


def _measured_at_both(paper: Paper, table: Table, column: str, here: Measured, there: Measured) -> Iterator[tuple[str, Sample, Sample]]:
    """(arm, its values here, its values there) of a column's rows."""
    metric = table.columns[column].metric or table.metric
    for arm in (row.arms[column] for row in table.rows.values() if column in row.arms):
        try:
            yield arm, *(at.sample(at.best_point(paper, arm, metric)[0], metric, arm) for at in (here, there))
        except NotRun:
            continue


def _agreement(paper: Paper, table: Table, column: str, pairs: list[tuple[str, Sample, Sample]]) -> Agreement:
    tau, told = kendall([h.mean for _, h, _ in pairs], [t.mean for _, _, t in pairs]), {}
    for (arm, h, t), (other, other_h, other_t) in combinations(pairs, 2):
        signs = _apart(h, other_h), _apart(t, other_t)
        if all(signs):
            told[frozenset((arm, other))] = signs[0] == signs[1]
    at = table.columns[column]
    return Agreement(paper.key, table.title, at.title, at.metric or table.metric, tuple(arm for arm, _, _ in pairs), tau, told)


def _apart(a: Sample, b: Sample) -> int:
    """1 where a's mean is surely above b's, -1 where it is surely below, 0 where the seeds do not say."""
    if min(a.n, b.n) < 2:
        return 0
    low, high = difference(a.values, b.values).interval
    return (low > 0) - (high < 0)
