"""Jobs that run side by side on one machine share their runs at the end: who has none left takes the others', the last first.

A run is held by a lock while it is trained. The system lets go of it when the process ends, however that ends, and the run goes
on from its checkpoint elsewhere. On one machine only: the shared file systems of clusters do not all lock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from normbench.core.errors import InputError
from normbench.core.files import read_json
from normbench.execution.progress import jobs_here
from normbench.planning.folders import Folders

LOOK_EVERY = 0.5  # seconds between two looks whether what others train is done


@contextmanager
def held(folders: Folders, run: str) -> Iterator[bool]:
    """Whether this process alone has the run, inside. Who gets it looks first whether it has been trained meanwhile."""
    path = folders.root / "locks" / run
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        if not _locked(file, path):
            yield False
            return
        try:
            yield True
        finally:
            path.unlink()


def _locked(file: IO[bytes], path: Path) -> bool:
    """Whether the lock is this process's, and of the file that stands there: who held it may have removed the one that was opened."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def runs_elsewhere(folders: Folders, own: str) -> Iterator[tuple[str, int]]:
    """(arm, seed) of all runs of the other jobs that run here, each job's from the last to the first, as long as there are new jobs."""
    seen = {own}
    while new := sorted(set(jobs_here(folders.root)) - seen):
        seen.add(new[0])
        try:
            arms = read_json(folders.job(new[0]))["arms"]
        except InputError:  # it has gone with its plan
            continue
        for arm in reversed(arms):
            for seed in reversed(arms[arm]):
                yield arm, seed
