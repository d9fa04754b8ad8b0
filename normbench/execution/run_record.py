"""The record of a run: its results, and all that says where they come from."""

import os
import platform
import resource
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from normbench.config.method_files import read_method
from normbench.config.spec import run_id
from normbench.execution.code_version import code_version
from normbench.execution.records import Record
from normbench.execution.task_api import Result


def make_record(
    content: dict[str, Any], seed: int, result: Result, seconds: float, *, tier: str, device: torch.device, world_size: int
) -> Record:
    """content: the arm's file. seconds: of the whole run. world_size: the processes that trained it."""
    trained, method = result.trained, content["spec"]["method"]
    return Record(
        run=run_id(content["arm"], seed),
        arm=content["arm"],
        seed=seed,
        tier=tier,
        spec=content["spec"],
        status=trained.status,
        step=trained.step,
        cause=trained.cause,
        metrics=result.metrics,
        curves=trained.curves,
        probes=[row for row in result.probes if np.isfinite(row["value"])],
        sites=result.sites,
        n_parameters=result.n_parameters,
        seconds=round(seconds, 3),
        step_seconds=round(trained.step_seconds, 3),
        samples_per_second=round(trained.samples / trained.step_seconds, 3) if trained.samples else None,
        peak_memory_bytes=_peak_memory(device),
        world_size=world_size,
        device_batch_size=_device_batch_size(content["spec"]["recipe"], world_size),
        gpu_hours=round(seconds * world_size / 3600, 6) if device.type == "cuda" else 0.0,
        code=content["code"],
        method_sha256=read_method(method).sha256,
        data_sha256=result.data_sha256,
        git_commit=code_version(),
        torch=torch.__version__,
        engine=result.engine or f"torch {torch.__version__}",
        notes=result.notes,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        machine={"node": platform.node(), "cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        ended=datetime.now(UTC),
    )


def _device_batch_size(recipe: dict[str, Any], world_size: int) -> int | None:
    """Samples that went through the network at once; None where a recipe has no batches."""
    share = recipe["batch_size"] // world_size if "batch_size" in recipe else None
    return min(share, recipe.get("device_batch_size") or share) if share else None


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU for this run, of the process so far on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
