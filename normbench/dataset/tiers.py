"""The tiers that lie in results/, as the descriptions of the whole dataset need to know them. Torch-free."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from normbench.config.papers import TIERS
from normbench.core.errors import InputError
from normbench.dataset.checksums import NAME, read_sums
from normbench.dataset.columns import CELLS, TABLES
from normbench.execution.columns import RUNS, Described
from normbench.execution.tables import read_table
from normbench.planning.plan import Plan
from normbench.reporting.summary import VERDICTS, counts, read_claims


@dataclass(frozen=True)
class Published:
    """One tier. sums: path below it -> hash, as SHA256SUMS says."""

    root: Path
    sums: dict[str, str]

    @property
    def name(self) -> str:
        return self.root.name

    @cached_property
    def plan(self) -> Plan:
        return Plan.read(self.root)

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run."""
        return read_table(self.root, RUNS).unique("run", keep="first", maintain_order=True)

    @cached_property
    def verdicts(self) -> dict[str, int]:
        """verdict -> claims and questions that it stands beside."""
        found = counts(read_claims(self.root / "claims.csv")).values()
        return {verdict: sum(paper[verdict] for paper in found) for verdict in VERDICTS}

    @property
    def bytes(self) -> int:
        return sum((self.root / path).stat().st_size for path in self.sums)

    def tables(self) -> list[tuple[Described, str, str]]:
        """(what it is, a name for it, its path below the tier) of each file that is a table; papers' tables go by paper and id."""
        found = [(file, file.name, file.path) for file in TABLES if file is not CELLS and file.path in self.sums]
        for path in (path for path in self.sums if CELLS.matches(path)):
            _, paper, name = path.split("/")
            found.append((CELLS, f"{paper}-{name.removesuffix('.csv')}", path))
        return found

    def rows(self, path: str) -> int | None:
        """How many rows a parquet file has; None for another."""
        return pq.read_metadata(self.root / path).num_rows if path.endswith(".parquet") else None


def published_tiers(results: Path) -> tuple[list[Published], list[str]]:
    """The tiers there, cheapest first; and a sentence for each folder of one that cannot be described."""
    tiers, left_out = [], []
    for name in TIERS:
        root = results / name
        if root.is_dir():
            try:
                if not (root / "plan.json").is_file():
                    raise InputError(f"{root}: has no plan.json and no {NAME}: an earlier version wrote it; publish this tier anew")
                tiers.append(Published(root, read_sums(root)))
            except InputError as error:
                left_out.append(str(error))
    return tiers, left_out
