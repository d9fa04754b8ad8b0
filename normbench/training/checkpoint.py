"""Checkpoints: what a killed run goes on from, exactly. Written whole and by rename; read without pickle's code.

The last two are kept, and each begins with its own hash: where a file system lost or changed bytes of the newest, the one before is used.
"""

import contextlib
import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.training.distributed import gathered, wait_for_all, world_size

FORMAT = 1
HASH_BYTES = hashlib.sha256().digest_size


class Checkpoints:
    """The checkpoints of one run.

    path: the newest; the one before it lies beside it, with `.before` behind its name. identity: what they must have been
    written for (spec and code); any other is ignored. every_seconds: the least time between two.
    """

    def __init__(self, path: Path, identity: str, every_seconds: float):
        self.path, self.identity, self.every = path, identity, every_seconds
        self.before = path.with_name(f"{path.name}.before")
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Of processes that train together all call this, and the first writes."""
        rng = rng_state()
        if rng["rank"] == 0:
            with whole_file(self.path, beforehand=self._keep) as file:
                write_state({"format": FORMAT, "identity": self.identity, "rng": rng, **state}, file)
        wait_for_all()  # none reads it before it is there
        self._last = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last whole state, None where there is none to go on from (absent, damaged, or another run's)."""
        for path in (self.path, self.before):
            state = read_state(path, device)
            if isinstance(state, dict) and state.get("format") == FORMAT and state.get("identity") == self.identity:
                return state
        return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.before.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Killed right behind this, there is no newest one, and the one before is used."""
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path, self.before)


def write_state(state: dict[str, Any], file: Any) -> None:
    """The SHA-256 of what follows, then the state as torch saves it."""
    content = io.BytesIO()
    torch.save(state, content)
    file.write(hashlib.sha256(content.getbuffer()).digest())
    file.write(content.getbuffer())


def read_state(path: Path, device: torch.device) -> Any:
    """What `write_state` wrote; None where it is absent or not what was written."""
    try:
        written = memoryview(path.read_bytes())
        if hashlib.sha256(written[HASH_BYTES:]).digest() != written[:HASH_BYTES]:
            return None
        return torch.load(io.BytesIO(written[HASH_BYTES:]), map_location=device, weights_only=True)
    except Exception:  # absent, or nothing that torch would load: it raises many kinds
        return None


def rng_state() -> dict[str, Any]:
    """The states of the generators that layers draw from, of each process; data order has its own, by seed and step."""
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    rank = dist.get_rank() if world_size() > 1 else 0
    cuda = gathered(torch.cuda.get_rng_state(), device) if torch.cuda.is_available() else []
    return {"rank": rank, "cpu": gathered(torch.get_rng_state(), device), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    """Raises InputError where another number of processes wrote it: what they drew cannot be gone on with."""
    if len(state["cpu"]) != world_size():
        raise InputError(f"the checkpoint is of {len(state['cpu'])} processes and cannot be gone on with by {world_size()}; remove it")
    rank = dist.get_rank() if world_size() > 1 else 0
    torch.set_rng_state(state["cpu"][rank].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][rank].cpu())
