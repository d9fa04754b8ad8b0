"""Long tables as columns: where the rows of each pair of names stand, found once, read by slices.

A tier of 100,000 runs has ten million points of curves. As numbers behind dictionary codes they take a few hundred
megabytes, and no part becomes a frame before somebody asks for it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from normbench.core.errors import InputError

Table = pd.DataFrame | pa.Table


class Blocks:
    """Rows of a table by the values of two of its columns of text, in the order in which they stand there.

    columns: name -> values of all rows, sorted by the pair (stable); missing whole numbers are nan.
    """

    def __init__(self, table: Table, by: tuple[str, str], columns: Sequence[str]):
        (first, one), (second, other) = (_codes(table, name) for name in by)
        joined = one.astype(np.int64) * max(1, len(second)) + other
        order = None if bool((joined[1:] >= joined[:-1]).all()) else np.argsort(joined, kind="stable")
        joined = joined if order is None else joined[order]
        starts = np.flatnonzero(np.r_[True, joined[1:] != joined[:-1]]) if len(joined) else np.array([], dtype=np.int64)
        ends = np.r_[starts[1:], len(joined)][: len(starts)]
        names = [divmod(int(code), max(1, len(second))) for code in joined[starts]]
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        self._spans = {(first[a], second[b]): span for (a, b), span in zip(names, spans, strict=True)}
        found = {name: _values(table, name) for name in columns}
        self.columns = found if order is None else {name: values[order] for name, values in found.items()}

    def __contains__(self, pair: tuple[str, str]) -> bool:
        return pair in self._spans

    def pairs(self) -> list[tuple[str, str]]:
        """All pairs that have rows."""
        return list(self._spans)

    def of(self, first: str, second: str) -> dict[str, np.ndarray] | None:
        """The columns' values in the rows of one pair; None where there are none."""
        span = self._spans.get((first, second))
        return None if span is None else {name: values[span[0] : span[1]] for name, values in self.columns.items()}


def means(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places in rising order, mean value at each); rows without a place do not count."""
    there = ~np.isnan(places) if places.dtype.kind == "f" else np.ones(len(places), bool)
    places, values = places[there], values[there]
    if len(places) > 1 and not (places[1:] > places[:-1]).all():
        order = np.argsort(places, kind="stable")
        places, values = places[order], values[order]
        if (places[1:] == places[:-1]).any():
            grouped = pd.Series(values).groupby(places).mean()
            return grouped.index.to_numpy(), grouped.to_numpy()
    return places, values


def read_table(path: Path, words: Sequence[str]) -> pa.Table:
    """A parquet file whose columns `words` come as codes of a dictionary."""
    try:
        return pq.read_table(path, read_dictionary=list(words))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` writes it again") from error


def _codes(table: Table, name: str) -> tuple[list[str], np.ndarray]:
    """(distinct values, code of every row) of a column of text, the codes in the order of their first rows."""
    if isinstance(table, pd.DataFrame):
        codes, distinct = pd.factorize(table[name])
        return [str(value) for value in distinct], codes
    column = table.column(name)
    if not len(column):  # no run has a probe: the file's column has no type
        return [], np.array([], dtype=np.int64)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string()).dictionary_encode()
    return column.dictionary.to_pylist(), column.indices.to_numpy(zero_copy_only=False)


def _values(table: Table, name: str) -> np.ndarray:
    """A column as numbers, or as objects where it holds text."""
    if isinstance(table, pa.Table):
        return table.column(name).to_numpy()
    column = table[name]
    missing = column.dtype.kind in "iu" and isinstance(column.dtype, pd.api.extensions.ExtensionDtype)
    return column.to_numpy(float, na_value=np.nan) if missing else column.to_numpy()
