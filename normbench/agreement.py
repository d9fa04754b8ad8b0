"""Do two tiers put methods in the same order? How far the ranks of each table's columns agree where both tiers have run.

A column of a paper's table is one dataset, network and metric, with a method or a variant of one in each row. Means over seeds
order its rows at either tier; Kendall's tau-b compares the two orders. Much of what disagrees there is the seeds' doing, so
the pairs of rows that both tiers tell apart (the 95% interval of Welch's difference leaves out zero) are counted by themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from normbench.line import other_tiers
from normbench.measured import Measured, NotRun
from normbench.outcomes import Sample
from normbench.papers import Paper, Table
from normbench.stats import Correlation, difference, kendall

FEWEST = 3  # rows that have an order to speak of


@dataclass(frozen=True)
class Agreement:
    """One column at two tiers. told: pairs of rows that both tiers tell apart; same: those in the same order at both."""

    paper: str
    table: str
    column: str
    rows: int
    tau: Correlation
    told: int
    same: int


def agreements(papers: list[Paper], here: Measured, there: Measured) -> list[Agreement]:
    """Every column of which both tiers have measured enough rows; one that stands in several tables counts once."""
    found: dict[tuple, Agreement] = {}
    for paper in papers:
        for table in paper.tables:
            for column in table.columns:
                pairs = list(_measured_at_both(paper, table, column, here, there))
                if len(pairs) >= FEWEST:
                    found.setdefault((paper.key, *sorted(arm for arm, _, _ in pairs)), _agreement(paper, table, column, pairs))
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
    tau = kendall([h.mean for _, h, _ in pairs], [t.mean for _, _, t in pairs])
    signs = [(_apart(h, other_h), _apart(t, other_t)) for (_, h, t), (_, other_h, other_t) in combinations(pairs, 2)]
    told = [(one, other) for one, other in signs if one and other]
    same = sum(one == other for one, other in told)
    return Agreement(paper.key, table.title, table.columns[column].title, len(pairs), tau, len(told), same)


def _apart(a: Sample, b: Sample) -> int:
    """1 where a's mean is surely above b's, -1 where it is surely below, 0 where the seeds do not say."""
    if min(a.n, b.n) < 2:
        return 0
    low, high = difference(a.values, b.values).interval
    return (low > 0) - (high < 0)


def compared(root: Path, papers: list[Paper], here: Measured) -> list[tuple[str, list[Agreement]]]:
    """(tier, its columns that can be compared) of each other tier beside `root`."""
    return [(folder.name, agreements(papers, here, Measured.of_metrics(folder))) for folder in other_tiers(root)]
