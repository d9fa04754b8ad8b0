"""Files and folders that are there whole or not at all."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from normbench.core.errors import InputError


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb", beforehand: Callable[[], None] | None = None) -> Iterator[IO]:
    """A file that appears under `path` only when all of it is on the disk; a full disk leaves the old one.

    beforehand: called when all is written, right before it appears.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8", newline=None if "b" in mode else "") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        if beforehand:
            beforehand()
        os.replace(name, path)
    except BaseException as error:
        if name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise InputError(f"{path}: the disk is full; free some space and run the same command again, it goes on from here") from error
        raise


@contextlib.contextmanager
def whole_folder(folder: Path, holds: str) -> Iterator[Path]:
    """Where to write a folder that appears as `folder` at the end; where another process was faster, its one stays.

    holds: the name of a file that tells such a folder from any other.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not (folder / holds).is_file():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    with whole_file(path, "w") as file:
        json.dump(data, file, indent=1, sort_keys=True, allow_nan=False)
        file.write("\n")


def read_json(path: Path, again: str = "`snakemake all` writes it again") -> Any:
    """What `write_json` wrote. Raises InputError where the file is missing or broken; again: how it comes back, in words."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); {again}") from error


def write_if_changed(path: Path, text: str) -> bool:
    """Write `text` unless it is there already, so that what depends on the file runs again only for a reason."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    with whole_file(path, "w") as file:
        file.write(text)
    return True
