"""Which code made a run: its commit or, where it is in none, the package's version and why. Torch-free."""

import os
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from normbench.core.schema import ROOT

COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"  # of files that do not differ from it

ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PREFIX"}


@cache
def code_version(root: Path = ROOT) -> str:
    """The commit that is checked out in the repository at `root`, with "+" where files differ from it.

    Where there is none: `normbench 0.1.0 (in no repository)`, or what else keeps git from knowing.
    """
    try:
        head, top = _git(root, "rev-parse", "HEAD", "--show-toplevel").splitlines()
        if Path(top).resolve() != root.resolve():
            return _released("in no repository of its own")
        return head + ("+" if _git(root, "status", "--porcelain", "-uno") else "")
    except FileNotFoundError:
        return _released("git is not installed")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return _released(_reason(root, getattr(error, "stderr", None) or ""))


def _git(root: Path, *words: str) -> str:
    """What git says of the repository at `root`, and of none that the environment names.

    That it belongs to another user is no reason to know nothing of it: its code is what runs here.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE} | {"LC_ALL": "C"}
    command = ["git", "--no-optional-locks", "-c", f"safe.directory={root.resolve()}", *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, encoding="utf-8", errors="surrogateescape", check=True)
    return done.stdout.strip()


def _reason(root: Path, said: str) -> str:
    if "dubious ownership" in said:
        return "the repository belongs to another user"
    return "git cannot read the repository" if (root / ".git").exists() else "in no repository"


def package_version() -> str:
    """Of the installed package; "" where it is not installed."""
    try:
        return version("normbench")
    except PackageNotFoundError:
        return ""


def _released(why: str) -> str:
    return f"normbench {package_version()} ({why})" if package_version() else f"normbench, not installed ({why})"
