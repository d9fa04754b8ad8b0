"""How long a test waits for a fact before it says that the fact never came: an idle machine needs seconds, a starved one minutes."""

import time
from collections.abc import Callable

PATIENCE = 1800  # seconds


def until(fact: Callable[[], object], what: str, every: float = 0.05) -> None:
    """Waits until `fact()` is true; `what` says in the error what never came."""
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(every)
