"""Long tables by pairs of names: the same rows whether they come sorted, shuffled, as a frame or out of a file."""

import numpy as np
import pandas as pd
import pytest

from normbench.analysis.blocks import Blocks, means, read_table
from normbench.core.errors import InputError

ROWS = [("r1", "loss", 1, 2.0), ("r1", "loss", 2, 1.0), ("r1", "top1", 1, 50.0), ("r2", "top1", 1, 60.0), ("r2", "loss", 1, 3.0)]
TABLE = pd.DataFrame(ROWS, columns=["run", "metric", "step", "value"])


def content(blocks: Blocks) -> dict:
    return {pair: sorted(zip(*(blocks.of(*pair)[c].tolist() for c in ("step", "value")), strict=True)) for pair in blocks.pairs()}


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1]], ids=["sorted", "shuffled"])
@pytest.mark.parametrize("kind", ["frame", "file"])
def test_each_pair_has_its_rows(order, kind, tmp_path):
    table = TABLE.iloc[order]
    if kind == "file":
        table.to_parquet(tmp_path / "t.parquet", index=False)
        table = read_table(tmp_path / "t.parquet", ("run", "metric"))
    blocks = Blocks(table, ("run", "metric"), ("step", "value"))
    assert content(blocks) == {
        ("r1", "loss"): [(1, 2.0), (2, 1.0)],
        ("r1", "top1"): [(1, 50.0)],
        ("r2", "top1"): [(1, 60.0)],
        ("r2", "loss"): [(1, 3.0)],
    }
    assert ("r1", "loss") in blocks and blocks.of("r2", "speed") is None


def test_rows_of_a_pair_keep_their_order():
    blocks = Blocks(TABLE.iloc[[1, 3, 0, 4, 2]], ("run", "metric"), ("step",))
    assert blocks.of("r1", "loss")["step"].tolist() == [2, 1]


def test_an_empty_table_has_no_pairs():
    assert Blocks(TABLE[:0], ("run", "metric"), ("step", "value")).pairs() == []


def test_missing_places_do_not_count_and_places_that_stand_twice_are_averaged():
    table = pd.DataFrame({"run": "r", "quantity": "v", "k": pd.array([2, 1, None, 2], "Int64"), "value": [4.0, 1.0, 9.0, 6.0]})
    part = Blocks(table, ("run", "quantity"), ("k", "value")).of("r", "v")
    places, values = means(part["k"], part["value"])
    assert (places.tolist(), values.tolist()) == ([1.0, 2.0], [1.0, 5.0])
    assert [a.tolist() for a in means(np.array([3, 1]), np.array([0.5, 0.25]))] == [[1, 3], [0.25, 0.5]]


def test_a_broken_file_is_one_sentence(tmp_path):
    (tmp_path / "runs.parquet").write_bytes(b"PAR1 and no more")
    for name in ("runs.parquet", "gone.parquet"):
        with pytest.raises(InputError, match=rf"{name}: is missing or broken .*writes it again"):
            read_table(tmp_path / name, ("run",))
