"""The folder of datasets as libraries can take it. Torch-free."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_colon(folder: Path) -> Iterator[Path]:
    """`folder`, under another name where its own has a colon: to libraries that separates folders, or a protocol from an address."""
    if ":" not in str(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        other = Path(place) / "data"
        other.symlink_to(folder.resolve())
        yield other
