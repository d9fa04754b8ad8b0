"""Programs that tests run for real: Debian's packages, installed where they are missing and this user may."""

import os
import shutil
import subprocess


class Unavailable(RuntimeError):
    """Why a program is not here, in words."""


def program(names: tuple[str, ...], packages: str) -> str:
    """The path of the first of `names`, installed first where that is possible; raises Unavailable where it cannot be had."""
    install = f"apt-get install -y --no-install-recommends {packages}"
    if not _found(names) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ("apt-get update", install.replace("install", "-o DPkg::Lock::Timeout=300 install", 1)):
            done = subprocess.run(command.split(), env=quiet, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{names[0]} is not installed, and `{install}` failed: {done.stderr.strip().splitlines()[-1]}")
    if not _found(names):
        raise Unavailable(f"{names[0]} is not installed, and a test runs it; as root: {install}")
    return _found(names)


def _found(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)
