"""results/croissant.json: the dataset for ML Croissant, whose library writes it, validates it and loads its records. Torch-free."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from normbench.core.errors import InputError
from normbench.dataset.citation import Citation
from normbench.dataset.columns import CELLS
from normbench.dataset.datapackage import LICENSE
from normbench.dataset.sampled import sampled
from normbench.dataset.tiers import Published
from normbench.execution.columns import Described

FORMAT = {"parquet": "application/x-parquet", "csv": "text/csv"}
READ_BACK = 20  # records of each record set


def croissant(tiers: list[Published], citation: Citation, version: dict[str, str], says: str) -> dict[str, Any]:
    """The JSON-LD of all tables but the papers' own, which are views of the others and lie beside them as files."""
    import mlcroissant as mlc

    tables = [(tier, file, name, path) for tier in tiers for file, name, path in tier.tables()]
    files = [
        mlc.FileObject(
            id=f"{tier.name}/{path}",
            name=f"{tier.name}/{path}",
            description=file.says,
            content_url=f"{tier.name}/{path}",
            encoding_formats=[FORMAT[path.rpartition(".")[2]]],
            sha256=tier.sums[path],
            content_size=f"{(tier.root / path).stat().st_size} B",
        )
        for tier, file, _, path in tables
    ]
    records = [_records(mlc, tier, file, name, path) for tier, file, name, path in tables if file is not CELLS]
    return mlc.Metadata(
        name=citation.title,
        description=says,
        license=[LICENSE["path"]],
        creators=[mlc.Organization(name=name) for name in citation.authors],
        cite_as=citation.bibtex(version["version"], version["created"][:4]),
        version=version["version"],
        date_published=version["created"],
        distribution=files,
        record_sets=records,
    ).to_json()


def _records(mlc, tier: Published, file: Described, name: str, path: str):
    kinds = {"string": mlc.DataType.TEXT, "integer": mlc.DataType.INTEGER, "number": mlc.DataType.FLOAT}
    own = f"{tier.name}-{name}"
    fields = [
        mlc.Field(
            id=f"{own}/{column.name}",
            name=column.name,
            description=column.says + (f" ({column.unit})" if column.unit else ""),
            # A column of whole numbers with empty ones among them comes as fractions.
            data_types=[kinds["number" if column.type == "integer" and not column.required else column.type]],
            source=mlc.Source(file_object=f"{tier.name}/{path}", extract=mlc.Extract(column=column.name)),
        )
        for column in file.columns
    ]
    return mlc.RecordSet(id=own, name=own, description=file.says, key=[f"{own}/{name}" for name in file.key] or None, fields=fields)


def records(path: Path, record_set: str) -> Iterator[dict[str, Any]]:
    """The rows of a record set as the library reads them, by column."""
    dataset = _dataset(path)
    for record in dataset.records(record_set):
        yield {key.rpartition("/")[2]: value for key, value in record.items()}


def check(path: Path) -> None:
    """Validate the file and read the first records of each set. What the library has against it is an InputError."""
    found = _dataset(path).metadata
    with sampled(path, [file.content_url for file in found.distribution]) as seen:
        for record_set in found.record_sets:
            _check_records(path, seen, record_set.id, {field.id.rpartition("/")[2] for field in record_set.fields})


def _check_records(path: Path, seen: Path, record_set: str, columns: set[str]) -> None:
    try:
        found = list(islice(records(seen, record_set), READ_BACK))
    except Exception as error:  # the library has no common class for what goes wrong while it loads
        raise InputError(f"{path}: the records of {record_set} cannot be read: {error}") from error
    if any(set(record) != columns for record in found):
        raise InputError(f"{path}: the records of {record_set} lack columns that it describes")


def _dataset(path: Path):
    import mlcroissant as mlc

    logging.getLogger("absl").setLevel(logging.ERROR)  # what may be added is not what is wrong
    try:
        return mlc.Dataset(jsonld=str(path))
    except (mlc.ValidationError, ValueError) as error:
        raise InputError(f"{path}: is no valid Croissant: {error}") from error
