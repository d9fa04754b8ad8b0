"""Long tables by pairs of names: the same rows whether they come sorted or shuffled, as words or as categories."""

import numpy as np
import polars as pl
import pytest

from normbench.analysis.partition import Partition, means
from normbench.execution.columns import CURVES, PROBES
from normbench.execution.tables import empty_table, table_of

ROWS = [("r1", 1, "loss", 2.0), ("r1", 2, "loss", 1.0), ("r1", 1, "top1", 50.0), ("r2", 1, "top1", 60.0), ("r2", 1, "loss", 3.0)]
TABLE = table_of(ROWS, CURVES)


def content(partition: Partition) -> dict:
    return {pair: list(zip(*(partition.of(*pair)[c].tolist() for c in ("step", "value")), strict=True)) for pair in partition.pairs()}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 0, 3, 1, 2]], ids=["sorted", "shuffled"])
@pytest.mark.parametrize("text", [pl.String, pl.Categorical], ids=["words", "categories"])
def test_each_pair_has_its_rows_in_their_order(order, text):
    partition = Partition(TABLE[order].cast({"run": text, "metric": text}), ("run", "metric"), ("step", "value"))
    assert content(partition) == {
        ("r1", "loss"): [(1, 2.0), (2, 1.0)],
        ("r1", "top1"): [(1, 50.0)],
        ("r2", "top1"): [(1, 60.0)],
        ("r2", "loss"): [(1, 3.0)],
    }
    assert ("r1", "loss") in partition and partition.of("r2", "speed") is None


def test_rows_of_a_pair_keep_their_order():
    partition = Partition(TABLE[[1, 3, 0, 4, 2]], ("run", "metric"), ("step",))
    assert partition.of("r1", "loss")["step"].tolist() == [2, 1]


@pytest.mark.parametrize("text", [pl.String, pl.Categorical], ids=["words", "categories"])
def test_an_empty_table_has_no_pairs(text):
    assert Partition(empty_table(CURVES, text), ("run", "metric"), ("step", "value")).pairs() == []


def test_missing_places_do_not_count_and_places_that_stand_twice_are_averaged():
    rows = [("r", "a", 2, 3, "v", 4.0), ("r", "b", 1, 3, "v", 1.0), ("r", "c", None, 3, "v", 9.0), ("r", "d", 2, 3, "v", 6.0)]
    part = Partition(table_of(rows, PROBES), ("run", "quantity"), ("k", "value")).of("r", "v")
    places, values = means(part["k"], part["value"])
    assert (places.tolist(), values.tolist()) == ([1.0, 2.0], [1.0, 5.0])
    assert [a.tolist() for a in means(np.array([3, 1]), np.array([0.5, 0.25]))] == [[1, 3], [0.25, 0.5]]
    assert [a.tolist() for a in means(np.array([1, 1]), np.array([0.5, np.nan]))] == [[1], [0.5]]  # as what is missing
    assert [a.tolist() for a in means(np.array([np.nan]), np.array([0.5]))] == [[], []]
