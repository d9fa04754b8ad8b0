"""One Slurm of two nodes for the tests of this folder. Where the daemons do not start, the tests fail with the reason."""

import tempfile
from pathlib import Path

import local_slurm
import pytest


@pytest.fixture(scope="session")
def slurm():
    """The folder of Slurm's commands; pytest's own folders are nobody else's to enter, which munge insists on."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        try:
            commands = local_slurm.start(Path(name), nodes=2)
        except local_slurm.Unavailable as reason:
            pytest.fail(f"no Slurm could be started here: {reason}", pytrace=False)
        yield commands
        local_slurm.stop(Path(name))
