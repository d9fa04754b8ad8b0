"""The seconds that a run takes, in all processes that work on it one after the other. Torch-free."""

import contextlib
import json
import time
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.files import write_json

EVERY = 5.0  # seconds between two looks; of a process that is killed, what came after the last one is not counted


class Stopwatch:
    """Keeps its count in the file `path`, and goes on from there if that was written for the same `identity` (spec and code)."""

    def __init__(self, path: Path, identity: str):
        self._path, self._identity, self._before = path, identity, 0.0
        self._began = self._written = time.perf_counter()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_text(encoding="utf-8"))
            self._before = float(said["seconds"]) if said["identity"] == identity else 0.0

    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._began

    def look(self) -> None:
        """Called often. Failing to write never stops a run."""
        now = time.perf_counter()
        if now - self._written >= EVERY:
            self._written = now
            with contextlib.suppress(OSError, InputError):
                write_json(self._path, {"identity": self._identity, "seconds": self.seconds()})
