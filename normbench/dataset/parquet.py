"""Reading and writing the dataset's tables as frames of exactly the columns that columns.py describes. Torch-free."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.dataset.columns import CURVES, PROBES, RUNS, Described, names

PARQUET = (RUNS, CURVES, PROBES)
POLARS = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64}
ARROW = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64()}


def read_table(root: Path, file: Described) -> pl.DataFrame:
    """The file as `file` describes it; a value that is not a number is an empty one. Other columns or types are an InputError."""
    path = root / file.path
    try:
        frame = pl.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; `snakemake publish` writes it") from None
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: is broken ({str(error).splitlines()[0]}); `snakemake publish` writes it anew") from error
    wanted = names(file)
    for verb, columns in (
        ("lacks", [c for c in wanted if c not in frame.columns]),
        ("adds", [c for c in frame.columns if c not in wanted]),
    ):
        if columns:
            raise InputError(f"{path}: is of another version: it {verb} the column {columns[0]!r} (columns: {', '.join(wanted)})")
    for column in file.columns:
        if not _fits(frame.schema[column.name], column.type):
            raise InputError(
                f"{path}: is of another version: the column {column.name!r} holds {frame.schema[column.name]}, not {column.type} values"
            )
    frame = frame.select(pl.col(c.name).cast(POLARS[c.type]) for c in file.columns)
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def read_tables(root: Path) -> dict[str, pl.DataFrame]:
    """runs, curves and probes."""
    return {file.name: read_table(root, file) for file in PARQUET}


def empty_table(file: Described) -> pl.DataFrame:
    """No rows, the right columns."""
    return pl.DataFrame(schema={column.name: POLARS[column.type] for column in file.columns})


def write_table(frame: pl.DataFrame, root: Path, file: Described) -> None:
    """Equal frames give equal bytes, and small ones: they go into git."""
    schema = pa.schema([(column.name, ARROW[column.type]) for column in file.columns])
    with whole_file(root / file.path) as handle:
        pq.write_table(frame.to_arrow().cast(schema), handle, compression="zstd", compression_level=9)


def _fits(found: pl.DataType, kind: str) -> bool:
    if kind == "string":
        return found in (pl.String, pl.Categorical, pl.Null)
    return found.is_integer() or found == pl.Null or (kind == "number" and found.is_float())
