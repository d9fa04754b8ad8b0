"""What a pack of records holds, believed only where it is what its manifest says and what a run can leave. Torch-free."""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from normbench.config.spec import arm_from, run_id
from normbench.config.tasks import read_task, task_file
from normbench.core.errors import InputError
from normbench.execution.columns import PROBES, Column
from normbench.execution.records import Record
from normbench.planning.record_pack import DAMAGE, PLACES, Pack, member_name

PNG = b"\x89PNG\r\n\x1a\n"
KINDS = {"string": (str,), "integer": (int,), "number": (int, float)}
MISSING = "missing"  # in the place of a value
REFUSED = "pack it anew where it was made"


def members(pack: Pack, archive: zipfile.ZipFile) -> Iterator[tuple[str, str, int, bytes]]:
    """(kind, arm, seed, content) of every member, fitting or not. Raises InputError for one that was changed or is of another kind."""
    for arm, packed in pack.manifest.arms.items():
        for seed in packed.seeds:
            run = run_id(arm, seed)
            for kind in (kind for kind in PLACES if pack.has(kind, run)):
                data = pack.read(archive, kind, run)
                if kind == "norms" and not _are_arrays(data):
                    raise InputError(f"{pack.path}: {member_name(kind, run)} is no file of plain arrays; {REFUSED}")
                if kind == "pictures" and not data.startswith(PNG):
                    raise InputError(f"{pack.path}: {member_name(kind, run)} is no PNG file; {REFUSED}")
                yield kind, arm, seed, data


def _are_arrays(data: bytes) -> bool:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return all(isinstance(file[name], np.ndarray) for name in file.files)
    except (*DAMAGE, TypeError, AttributeError):  # of what is a single array or no archive
        return False


def packed_record(pack: Pack, arm: str, seed: int, data: bytes) -> Record:
    """A run's record. Raises InputError where it is none, or not the one that the manifest says."""
    run, packed = run_id(arm, seed), pack.manifest.arms[arm]
    place = f"{pack.path}: {member_name('records', run)}"
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"{place} is no record ({error.errors()[0]['msg']}); {REFUSED}") from None
    told = {"run": run, "arm": arm, "seed": seed, "tier": pack.manifest.tier, "spec": packed.spec, "code": packed.code}
    for name, value in told.items():
        if (said := getattr(record, name)) != value:
            raise InputError(f"{place}: its {name} is {_cut(said)}, and the manifest says {_cut(value)}; {REFUSED}")
    if _id_of(packed.spec) != arm:
        raise InputError(f"{place}: its spec is not that of the arm {arm}; {REFUSED}")
    if fault := number_fault(record):
        raise InputError(f"{place}: {fault}; {REFUSED}")
    return record


def _id_of(spec: dict[str, Any]) -> str:
    """The id of the arm that a spec is of; "" where it is no spec."""
    try:
        return arm_from(spec).id
    except (TypeError, KeyError, AttributeError, ValueError):
        return ""


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}..."


def number_fault(record: Record) -> str:
    """What is wrong with a record's numbers, in words: one that is not finite, or that nothing has a place for. "" where all is well."""
    task = record.spec["task"]
    known = read_task(task).metrics
    for name, value in record.metrics.items():
        if name not in known:
            return f"{name!r} is no metric of {task_file(task)}"
        if not math.isfinite(value):
            return f"{name} is {value}, and a metric is a finite number or not there"
    for name, points in record.curves.items():
        if not all(math.isfinite(value) for _, value in points):
            return f"its curve of {name} has a value that is not finite"
    return next(filter(None, (_probe_fault(record, column) for column in PROBES.columns[1:])), "")


def _probe_fault(record: Record, column: Column) -> str:
    """The same of one column of a record's probes, of which there are thousands."""
    values = [row.get(column.name) for row in record.probes]
    fit = {*KINDS[column.type], *(() if column.required else (type(None),))}
    if set(map(type, values)) <= fit and all(map(math.isfinite, values if column.type == "number" else ())):
        return ""
    wrong = next(value for value in values if type(value) not in fit or (isinstance(value, float) and not math.isfinite(value)))
    return f"a probe's {column.name} is {_cut(wrong)}, which is no {column.type}"


def difference(a: Record, b: Record) -> tuple[str, Any, Any] | None:
    """(what, its value in a, in b) of the first thing that repeats and is not equal: status, a metric, a curve. None where all is."""
    if a.status != b.status:
        return "status", a.status, b.status
    metrics = read_task(a.spec["task"]).metrics
    pairs = [(name, a.metrics.get(name, MISSING), b.metrics.get(name, MISSING)) for name in sorted(a.metrics.keys() | b.metrics.keys())]
    for name in sorted(a.curves.keys() | b.curves.keys()):
        mine, theirs = (dict(record.curves.get(name, [])) for record in (a, b))
        pairs += [
            (f"{name} at step {step}", mine.get(step, MISSING), theirs.get(step, MISSING)) for step in sorted(mine.keys() | theirs.keys())
        ]
    changing = {name for name, metric in metrics.items() if not metric.repeats}
    differing = (pair for pair in pairs if pair[1] != pair[2] and pair[0].partition(" at step ")[0] not in changing)
    return next(differing, None)
