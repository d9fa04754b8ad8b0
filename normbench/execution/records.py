"""Run records: what came of a run, written last, whole, by rename; and read only when complete. Torch-free."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from normbench.config.spec import canonical
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.core.schema import Strict

Status = Literal["finished", "diverged", "refused"]


class Record(Strict):
    """One run.

    metrics: name -> value; curves: name -> [[step, value], ...]; probes: rows of layer, k, depth, quantity, value.
    status: finished; diverged (at `step`, because of `cause`; a result like any other); refused (the
    method cannot stand in this model, `cause` says why). spec: the ArmSpec's fields. code: hashes of what computed it.
    engine: the framework that trained, with its version. notes: words that belong to the numbers, as a metric's signature.
    step_seconds: seconds inside training steps, of `seconds` in all. samples_per_second: of the training set (images, clips, pairs of
    sentences), inside these, all processes together; None where nothing is trained. world_size: processes that trained it together,
    each with a device.
    device_batch_size: samples that one of them passed through the network at once. ended: when the run did. end: written last; a record
    without it is no record. What is not a number is written as "NaN", "Infinity" or "-Infinity".
    """

    model_config = ConfigDict(ser_json_inf_nan="strings")

    run: str
    arm: str
    seed: int
    tier: str
    spec: dict[str, Any]
    status: Status
    step: int = 0
    cause: str = ""
    metrics: dict[str, float] = {}
    curves: dict[str, list[tuple[int, float]]] = {}
    probes: list[dict[str, Any]] = []
    sites: list[dict[str, Any]] = []
    n_parameters: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    samples_per_second: float | None = None
    peak_memory_bytes: int = 0
    world_size: int = 1
    device_batch_size: int | None = None
    gpu_hours: float = 0.0
    code: dict[str, str]
    method_sha256: str
    data_sha256: str
    git_commit: str
    torch: str
    engine: str = ""
    notes: dict[str, str] = {}
    device: str
    machine: dict[str, Any] = Field(default_factory=dict)
    ended: AwareDatetime | None = None
    end: Literal["complete"] = "complete"


def write_record(record: Record, path: Path) -> None:
    with whole_file(path, "w") as file:
        file.write(record.model_dump_json(indent=None) + "\n")


def read_record(path: Path) -> Record:
    """The record at `path`. Raises InputError where it is missing, cut short or of another shape."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such record; `snakemake all` makes it") from None
    except ValidationError as error:
        raise InputError(f"{path}: is cut short or no record ({error.errors()[0]['msg']}); `snakemake all` makes it again") from None


def is_current(path: Path, spec: dict[str, Any], code: dict[str, str]) -> bool:
    """Whether `path` holds a complete record of exactly this spec, made by exactly this code."""
    try:
        record = read_record(path)
    except InputError:
        return False
    return canonical(record.spec) == canonical(spec) and record.code == code


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
