"""The described files as the formats' libraries are to see them: whole where they are small, and otherwise their first rows.

Both libraries read a table as rows of Python objects, which takes minutes and gigabytes where it has millions of rows.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 50_000


@contextmanager
def sampled(description: Path, paths: Iterable[str]) -> Iterator[Path]:
    """A copy of `description` in a folder of its own, beside the files that it names (`paths`, as they are below its folder)."""
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            whole, seen = description.parent / path, Path(folder) / path
            seen.parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".parquet") and whole.is_file() and pq.read_metadata(whole).num_rows > ROWS:
                pq.write_table(pa.Table.from_batches([next(pq.ParquetFile(whole).iter_batches(ROWS))]), seen)
            else:
                seen.symlink_to(whole.resolve())
        yield Path(shutil.copy(description, folder))
