"""SHA256SUMS: the hash of every file of a tier, in the form that `sha256sum -c` reads. Torch-free."""

import hashlib
from pathlib import Path

from normbench.core.errors import InputError
from normbench.core.files import whole_file

NAME = "SHA256SUMS"


def sums(root: Path) -> dict[str, str]:
    """path below `root` -> hash, of all files there but SHA256SUMS itself, sorted."""
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.name != NAME)
    return {path: hash_of(root / path) for path in paths}


def hash_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(root: Path) -> None:
    lines = [f"{hash_}  {path}\n" for path, hash_ in sums(root).items()]
    with whole_file(root / NAME, "w") as file:
        file.writelines(lines)


def read_sums(root: Path) -> dict[str, str]:
    """What SHA256SUMS says."""
    try:
        lines = (root / NAME).read_text(encoding="utf-8").splitlines()
        return {path: hash_ for hash_, path in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise InputError(f"{root / NAME}: is missing or broken ({error}); `snakemake publish` writes it") from error


def problems(root: Path) -> list[str]:
    """Each file that is not the one that was published."""
    said, found = read_sums(root), sums(root)
    return [
        *(f"{root / path}: is missing, and {NAME} lists it" for path in said if path not in found),
        *(f"{root / path}: is not in {NAME}: it was added by hand" for path in found if path not in said),
        *(
            f"{root / path}: was changed after it was published (its hash is not the one in {NAME})"
            for path in said
            if differs(path, said, found)
        ),
    ]


def differs(path: str, said: dict[str, str], found: dict[str, str]) -> bool:
    return path in found and found[path] != said[path]
