"""One command at a time builds a tier. Torch-free.

Snakemake's own lock is of the folder that it was called in, and any other command there takes it away when it ends. This one is the
system's: it is of the build, goes with its process, however that ends, and who is refused has changed no file.
"""

import fcntl
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from normbench.core.errors import InputError

NAME = "building"
_held: list[int] = []  # open files, for as long as this process lives
_SELF = f"{os.getpid()} {uuid.uuid4().hex}\n".encode()


def hold(root: Path) -> None:
    """Keep build/<tier> for this process. Raises InputError where another one has it; where nothing can be locked, nothing is."""
    root.mkdir(parents=True, exist_ok=True)
    file = os.open(root / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.read(file, 1000).decode(errors="replace").strip() or "another process"
        os.close(file)
        raise InputError(
            f"{root}: is being built by {who}; wait for its end, or end it, and run this command again (`snakemake plan` and --dry-run "
            "may look meanwhile)"
        ) from None
    except OSError:  # a file system without locks
        os.close(file)
        return
    os.ftruncate(file, 0)
    os.write(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    _held.append(file)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[bool]:
    """Waits until no other process is inside, of those that ask by this file; whether another was, since this one was the last time.

    Where nothing can be locked, nothing is, and another may always have been.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            others_were = file.read() != _SELF
        except OSError:
            others_were = True
        if others_were:
            file.truncate(0)
            file.write(_SELF)
        yield others_were
