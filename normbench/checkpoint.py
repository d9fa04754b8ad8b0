"""Checkpoints: what a killed run goes on from, exactly. Written whole and by rename; read without pickle's code."""

import time
from pathlib import Path
from typing import Any

import torch

from normbench.files import whole_file

FORMAT = 1


class Checkpoints:
    """The checkpoint of one run.

    path: the file. identity: what it must have been written for (spec and code); any other is ignored.
    every_seconds: the least time between two.
    """

    def __init__(self, path: Path, identity: str, every_seconds: float):
        self.path, self.identity, self.every = path, identity, every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.every

    def save(self, state: dict[str, Any]) -> None:
        with whole_file(self.path) as file:
            torch.save({"format": FORMAT, "identity": self.identity, "rng": rng_state(), **state}, file)
        self._last = time.monotonic()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The saved state, None where there is none to go on from (absent, cut short, or another run's)."""
        if not self.path.is_file():
            return None
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
        except Exception:  # cut short or damaged: torch raises many kinds; the run starts again
            return None
        same = isinstance(state, dict) and state.get("format") == FORMAT and state.get("identity") == self.identity
        return state if same else None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def rng_state() -> dict[str, Any]:
    """The states of the generators that layers draw from; data order has its own, by seed and step."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
