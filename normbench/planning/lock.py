"""One command at a time builds a tier. Torch-free.

Snakemake's own lock is of the folder that it was called in, is left behind by a process that was killed, and any other command there takes
it away when it ends. This one is the system's: it is of the build, goes with its process, however that ends, and who is refused has
changed no file.
"""

import fcntl
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from normbench.core.errors import InputError

NAME = "building"  # holds who builds, and nothing once that has ended by itself
_held: list[int] = []  # open files, for as long as this process lives
_SELF = f"{os.getpid()} {uuid.uuid4().hex}\n".encode()


def hold(root: Path) -> None:
    """Keep build/<tier> for this process, and say so if the one before it never ended by itself.

    Raises InputError where another process has it. On a file system without locks the file's process counts, if it is one of this machine.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = os.open(root / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{root}: cannot be written ({error.strerror}); name another folder with --config build=FOLDER") from error
    who = os.read(file, 1000).decode(errors="replace").strip()
    if not _locked(file, who):
        os.close(file)
        raise InputError(
            f"{root}: is being built by {who or 'another process'}; wait for its end, or end it, and run this command again "
            "(`snakemake plan`, `snakemake so_far` and --dry-run may look meanwhile)"
        )
    if who:
        print(f"normbench: {who} was building {root} and was ended from outside; this goes on from what it left", file=sys.stderr)
    _write(file, f"process {os.getpid()} on {socket.gethostname()}\n")
    _held.append(file)


def release() -> None:
    """The end of a build that ends by itself."""
    while _held:
        file = _held.pop()
        _write(file, "")
        os.close(file)


def _locked(file: int, who: str) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return not _lives(who)


def _lives(who: str) -> bool:
    """Whether `who` ("process <pid> on <host>") is a process of this machine that runs."""
    words = who.split()
    if len(words) != 4 or words[3] != socket.gethostname() or not words[1].isdigit():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _write(file: int, text: str) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)


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
