"""The described files as the formats' libraries are to see them: whole where they are small, and otherwise their first rows.

Both libraries read a table as rows of Python objects, which takes minutes and gigabytes where it has millions of rows.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from normbench.execution.records import sha256

ROWS = 50_000


@contextmanager
def sampled(description: Path, paths: Iterable[str], rows: int | None = None) -> Iterator[Path]:
    """A copy of `description` in a folder of its own, beside the files that it names (`paths`, as they are below its folder).

    rows: how many of a parquet file are shown (ROWS). What describes such a file by its hash describes there what is shown.
    """
    rows = rows or ROWS
    text = description.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            whole, seen = description.parent / path, Path(folder) / path
            seen.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".parquet") and whole.is_file() and pq.read_metadata(whole).num_rows > rows:
                pq.write_table(pa.Table.from_batches([next(pq.ParquetFile(whole).iter_batches(rows))]), seen)
                text = text.replace(sha256(whole), sha256(seen))  # the library refuses a file of another hash
            else:
                seen.symlink_to(whole.resolve())
        copy = Path(folder) / description.name
        copy.write_text(text, encoding="utf-8")
        yield copy
