"""results/datapackage.json: the dataset for Frictionless, every table with its schema, every file's hash. Torch-free."""

import json
from pathlib import Path
from typing import Any

from normbench.core.errors import InputError
from normbench.dataset.citation import Citation
from normbench.dataset.columns import described
from normbench.dataset.sampled import sampled
from normbench.dataset.tiers import Published
from normbench.execution.columns import Column, Described

LICENSE = {
    "name": "CC-BY-4.0",
    "path": "https://creativecommons.org/licenses/by/4.0/",
    "title": "Creative Commons Attribution 4.0 International",
}
CHECKED_ROWS = 500  # of each parquet table by Frictionless, cell by cell; check_results looks at every row, by columns


def datapackage(tiers: list[Published], citation: Citation, version: dict[str, str], says: str) -> dict[str, Any]:
    """The descriptor. version: version and created; says: the dataset in a paragraph."""
    return {
        "name": "normbench-results",
        "title": citation.title,
        "description": says,
        "version": version["version"],
        "created": f"{version['created']}T00:00:00Z",
        "licenses": [LICENSE],
        "contributors": [{"title": name, "role": "author"} for name in citation.authors],
        "resources": [resource for tier in tiers for resource in [*_tables(tier), *_files(tier)]],
    }


def _tables(tier: Published) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{tier.name}-{name}".replace("_", "-"),
            "type": "table",
            "path": f"{tier.name}/{path}",
            **(CSV if path.endswith(".csv") else PARQUET),
            "description": file.says,
            **({"bytes": (tier.root / path).stat().st_size} if path.endswith(".csv") else {}),
            "hash": f"sha256:{tier.sums[path]}",
            "schema": schema(file),
        }
        for file, name, path in tier.tables()
    ]


CSV = {"format": "csv", "mediatype": "text/csv", "encoding": "utf-8"}
# Without its bytes: Frictionless counts them while it reads a file, and this format it lets another library read.
PARQUET = {"format": "parquet", "mediatype": "application/vnd.apache.parquet"}


def _files(tier: Published) -> list[dict[str, Any]]:
    """What is no table and not one of many: the plan, the page, the sums' list of all others."""
    return [
        {
            "name": f"{tier.name}-{file.name}",
            "type": "file",
            "path": f"{tier.name}/{path}",
            "description": file.says,
            "bytes": (tier.root / path).stat().st_size,
            "hash": f"sha256:{tier.sums[path]}",
        }
        for path, file in ((path, described(path)) for path in tier.sums)
        if file is not None and file.path == path and not file.columns
    ]


def schema(file: Described) -> dict[str, Any]:
    """Frictionless' schema of a table."""
    return {
        "fields": [_field(column, file.path.endswith(".parquet")) for column in file.columns],
        "missingValues": [""],
        **({"primaryKey": list(file.key)} if file.key else {}),
    }


def _field(column: Column, parquet: bool) -> dict[str, Any]:
    """A parquet column of whole numbers with empty ones among them comes as fractions, of which an empty one is NaN."""
    kind = "number" if parquet and column.type == "integer" and not column.required else column.type
    constraints = {**({"required": True} if column.required else {}), **({"enum": list(column.words)} if column.words else {})}
    field = {"name": column.name, "type": kind, "description": column.says + (f" ({column.unit})" if column.unit else "")}
    return field | ({"constraints": constraints} if constraints else {})


def faults(path: Path, rows: int = CHECKED_ROWS) -> list[str]:
    """What Frictionless has against the package, its files and the first rows of its large tables, a sentence each."""
    from frictionless import FrictionlessException, Package

    try:
        paths = [entry["path"] for entry in json.loads(path.read_text(encoding="utf-8"))["resources"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path}: is missing or broken ({error}); `snakemake publish` writes it"]
    with sampled(path, paths, rows) as seen:
        try:
            report = Package(str(seen)).validate()
        except FrictionlessException as error:
            return [
                f"{path}: {reason.error.message if hasattr(reason, 'error') else reason.message}" for reason in error.reasons or [error]
            ]
    return [f"{path}: {error.message}" for error in report.errors] + [
        f"{path.parent / task.place}: {error.message}" for task in report.tasks for error in task.errors
    ]


def check(path: Path) -> None:
    """Raises InputError with the first of `faults`."""
    if found := faults(path):
        raise InputError(f"{found[0]}" + (f", and {len(found) - 1} faults more" if len(found) > 1 else ""))
