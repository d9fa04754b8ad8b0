"""Whether somebody told this process to stop. Torch-free."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_told: list[int] = []


def listen() -> None:
    """Remember from now on that a signal to stop came, and let it do what it did before."""
    for number in SIGNALS:
        before = signal.getsignal(number)

        def told(signum: int, frame: FrameType | None, before=before) -> None:
            _told.append(signum)
            if callable(before):
                before(signum, frame)

        signal.signal(number, told)


def told_to_stop() -> bool:
    return bool(_told)
