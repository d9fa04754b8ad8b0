"""The rows of a long table by pairs of names, found once and read by slices.

A tier of 100,000 runs has ten million points of curves: each column is one array, and no pair's rows are copied before
somebody asks for them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl


class Partition:
    """Rows of a table by the values of two of its columns, each pair's in the order in which they stand there."""

    def __init__(self, table: pl.DataFrame, by: tuple[str, str], columns: Sequence[str]):
        groups = table.group_by(by, maintain_order=True).agg(columns)
        lengths = groups.select(pl.col(columns[0]).list.len().cast(pl.Int64)).to_series()
        ends = lengths.cum_sum()
        spans = zip((ends - lengths).to_list(), ends.to_list(), strict=True)
        self._spans = dict(zip(groups.select(by).iter_rows(), spans, strict=True))
        self._columns = {name: groups[name].explode().to_numpy() for name in columns}

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair in self._spans

    def pairs(self) -> list[tuple[str, str]]:
        """All pairs that have rows."""
        return list(self._spans)

    def of(self, first: str, second: str) -> dict[str, np.ndarray] | None:
        """The columns' values in the rows of one pair, missing numbers as nan; None where it has no rows."""
        span = self._spans.get((first, second))
        return None if span is None else {name: values[span[0] : span[1]] for name, values in self._columns.items()}


def means(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places in rising order, mean value at each); rows without a place do not count."""
    there = ~np.isnan(places)
    places, values = places[there], values[there]
    if (places[1:] > places[:-1]).all():
        return places, values
    grouped = pd.Series(values).groupby(places).mean()  # not by polars, for this is asked in forks too
    return grouped.index.to_numpy(), grouped.to_numpy()
