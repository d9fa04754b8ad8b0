"""A copy of the repository that a test may change, and Python run in it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from normbench.core.schema import ROOT

PARTS = ("normbench", "methods", "papers", "tasks", "workflows", "Snakefile")


def copy_repository(to: Path) -> Path:
    """What planning and running read, in a folder of its own."""
    to.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, to / part)
    return to


def run_python(code: str, root: Path) -> subprocess.CompletedProcess:
    """`code` in a process whose `normbench` is the one under `root`."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)


def printed(code: str, root: Path = ROOT) -> Any:
    """The JSON that `code` prints."""
    done = run_python(code, root)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
