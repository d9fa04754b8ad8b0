"""What a run leaves beside its record. Torch-free."""

import shutil
from pathlib import Path


def forget_checkpoints(path: Path) -> None:
    """Those of a run that has its record, and what processes left half written or unforgotten that were killed in the middle of it."""
    for name in (path.name, path.with_suffix(".seconds").name):
        for place in (path.with_name(name), *path.parent.glob(f"{name}.before"), *path.parent.glob(f".{name}.*")):
            place.unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # of a framework that keeps its own
