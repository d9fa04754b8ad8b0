"""Reading and writing the collected tables as frames of exactly the columns that columns.py describes, however few rows. Torch-free."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.execution.columns import CURVES, PROBES, RUNS, Described, names

PARQUET = (RUNS, CURVES, PROBES)
POLARS = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64}
ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}
WRITTEN_BY = "`snakemake all` writes it again below build/, `snakemake publish` below results/"


def schema(file: Described, text: type[pl.DataType] = pl.String) -> dict[str, type[pl.DataType]]:
    """Column -> type. text: what columns of words are."""
    types = {**POLARS, "string": text}
    return {column.name: types[column.type] for column in file.columns}


def table_of(rows: Iterable[tuple | dict[str, Any]], file: Described) -> pl.DataFrame:
    """Rows, as tuples in the order of the columns or as dicts, in a frame; without any rows the columns keep their types."""
    return pl.DataFrame(list(rows), schema=schema(file), orient="row").with_columns(_no_nan())


def empty_table(file: Described, text: type[pl.DataType] = pl.String) -> pl.DataFrame:
    """No rows, the right columns."""
    return pl.DataFrame(schema=schema(file, text))


def read_table(root: Path, file: Described, text: type[pl.DataType] = pl.String) -> pl.DataFrame:
    """The file as `file` describes it; a value that is not a number is an empty one. Other columns or types are an InputError.

    text: pl.Categorical where words repeat in millions of rows: a row then takes four bytes of each.
    """
    path = root / file.path
    try:
        lazy = pl.scan_parquet(path)
        _check_columns(path, lazy.collect_schema(), file)
        return lazy.select(pl.col(name).cast(kind) for name, kind in schema(file, text).items()).collect().with_columns(_no_nan())
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {WRITTEN_BY}") from None
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: is broken ({str(error).splitlines()[0]}); {WRITTEN_BY}") from error


def read_tables(root: Path) -> dict[str, pl.DataFrame]:
    """runs, curves and probes."""
    return {file.name: read_table(root, file) for file in PARQUET}


def write_table(frame: pl.DataFrame, root: Path, file: Described) -> None:
    """Equal frames give equal bytes, and small ones: they go into git."""
    columns = pa.schema([(column.name, ARROW[column.type]) for column in file.columns])
    with whole_file(root / file.path) as handle:
        pq.write_table(frame.to_arrow().cast(columns), handle, compression="zstd", compression_level=9)


def _check_columns(path: Path, found: pl.Schema, file: Described) -> None:
    wanted = names(file)
    for verb, columns in (("lacks", [c for c in wanted if c not in found]), ("adds", [c for c in found if c not in wanted])):
        if columns:
            raise InputError(f"{path}: is of another version: it {verb} the column {columns[0]!r} (columns: {', '.join(wanted)})")
    for column in file.columns:
        if not _fits(found[column.name], column.type):
            raise InputError(
                f"{path}: is of another version: the column {column.name!r} holds {found[column.name]}, not {column.type} values"
            )


def _fits(found: pl.DataType, kind: str) -> bool:
    if kind == "string":
        return found in (pl.String, pl.Categorical, pl.Null)
    return found.is_integer() or found == pl.Null or (kind == "number" and found.is_float())


def _no_nan() -> pl.Expr:
    return pl.col(pl.Float64).fill_nan(None)
