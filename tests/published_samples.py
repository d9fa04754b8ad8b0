"""A build folder with invented results and a place to publish them, for tests of what reads or writes results/."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from synthetic_build import make_build

from normbench.core.schema import ROOT
from normbench.dataset import derived
from normbench.dataset.citation import write_version
from normbench.dataset.version import FIRST
from normbench.execution.columns import Described

DRAWN = {"figures": ("tests.stub_drawings", (), "figures"), "report": ("tests.stub_drawings", ("--output", "report.html"), "report.html")}


def make_tier(folder: Path) -> Path:
    """folder/quick with one paper's runs, verdicts, tables and prediction; drawings are stubs where `derived.MADE` has `DRAWN`."""
    root = make_build(folder, "quick", ("rescalenet",))
    derived.make(root, "tables", "prediction", "figures", "report")
    return root


def cited(folder: Path) -> Path:
    """A copy of CITATION.cff, beside folder/results, for a dataset that nobody has published yet."""
    path = Path(shutil.copyfile(ROOT / "CITATION.cff", folder / "CITATION.cff"))
    write_version(path, FIRST)
    return path


def edit(root: Path, file: Described, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace a parquet file by what `change` makes of it."""
    path = root / file.path
    change(pl.read_parquet(path)).write_parquet(path)


def files(root: Path) -> dict[str, bytes]:
    """path -> content of every file below."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
