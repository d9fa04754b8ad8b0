"""Where Snakemake and the libraries write beside the build, looked at before anything runs. Torch-free."""

import os
import tempfile
from pathlib import Path

from normbench.core.errors import InputError


def check_places(here: Path) -> None:
    """Raises InputError where Snakemake could not keep its notes in `here`, or where there is no place for temporary files."""
    notes = here / ".snakemake"
    if not os.access(notes if notes.is_dir() else here, os.W_OK | os.X_OK):
        raise InputError(
            f"{here}: cannot be written, and Snakemake keeps its notes there; add --directory FOLDER, a folder of yours, in which build/ "
            "will be then"
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise InputError("TMPDIR: no folder for temporary files can be written; set TMPDIR to one of yours") from None
