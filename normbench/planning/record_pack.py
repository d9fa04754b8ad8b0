"""One file that holds finished records of a tier, to carry them to another clone of the suite. Torch-free.

<tier>-<digest>.normbench.zip, a zip archive that is laid out like build/<tier>:

    pack.json                the manifest: format, tier, version, commits; arms with spec, code and seeds; size and sha256 of each member
    records/<run>.json       a run's record, as it lies in its build
    norms/<run>.npz          the weight norms that it recorded, where it did
    pictures/<run>.png       what it had to show, where its task draws

The archive's comment is the sha256 of the manifest. Equal records give equal bytes. A member's name has to be the one that an arm and a
seed of the manifest give, and says nowhere where a file is written.
"""

import contextlib
import hashlib
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from normbench.config.spec import run_id
from normbench.core.errors import InputError
from normbench.core.schema import Strict, validated
from normbench.planning.folders import Folders

FORMAT = 1
MANIFEST = "pack.json"
SUFFIX = ".normbench.zip"
# All that reading a broken archive raises.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError)
LARGEST = 2**30  # bytes of a member, and of the manifest
AGAIN = "copy it again from where `snakemake pack` wrote it"
# What a run leaves, the record last: whoever sees it finds the others.
PLACES: dict[str, Callable[[Folders, str], Path]] = {"norms": Folders.norms, "pictures": Folders.picture, "records": Folders.record}
_INSIDE = Folders(Path(), "")

Name = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+$", max_length=200)]


class Member(Strict):
    """A file of the archive."""

    bytes: int = Field(ge=0, le=LARGEST)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class PackedArm(Strict):
    """An arm, and which of its seeds have a record here."""

    spec: dict[str, Any]
    code: dict[str, str]
    seeds: list[int]


class Manifest(Strict):
    """pack.json. commits: those that the records were made at."""

    format: int
    tier: str
    normbench: str
    commits: list[str]
    arms: dict[Name, PackedArm]
    members: dict[str, Member]

    def runs(self) -> list[str]:
        return [run_id(arm, seed) for arm, packed in self.arms.items() for seed in packed.seeds]

    def text(self) -> str:
        return json.dumps(self.model_dump(), indent=1, sort_keys=True, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Pack:
    """A pack, of which the manifest has been read."""

    path: Path
    manifest: Manifest

    def has(self, kind: str, run: str) -> bool:
        return member_name(kind, run) in self.manifest.members

    def read(self, archive: zipfile.ZipFile, kind: str, run: str) -> bytes:
        """A member's content. Raises InputError where it is not what the manifest says."""
        name = member_name(kind, run)
        member = self.manifest.members[name]
        try:
            data = archive.read(name)
        except DAMAGE as error:
            raise InputError(f"{self.path}: {name} is damaged ({error}); {AGAIN}") from error
        if (sha := hashlib.sha256(data).hexdigest()) != member.sha256:
            raise InputError(
                f"{self.path}: {name} was changed after it was packed: its sha256 is {sha[:12]}..., and {MANIFEST} says "
                f"{member.sha256[:12]}...; {AGAIN}"
            )
        return data


def member_name(kind: str, run: str) -> str:
    return PLACES[kind](_INSIDE, run).as_posix()


def read_pack(path: Path) -> Pack:
    """The pack at `path`; its members are only counted. Raises InputError where it is none, is broken, or is of a newer format."""
    with opened(path) as archive:
        return Pack(path, _read_manifest(path, archive))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive at `path`. Raises InputError where there is none."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"--config pack: there is no file {path}; `snakemake pack` says where it wrote one") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the file that `snakemake pack` wrote") from error
    except DAMAGE as error:
        raise InputError(f"{path}: {_no_archive(path)}") from error
    with archive:
        yield archive


def _no_archive(path: Path) -> str:
    with open(path, "rb") as file:
        begins = file.read(4)
    if begins == zipfile.stringFileHeader:
        return f"is cut short or damaged; {AGAIN}"
    return "is no zip archive; give the file that `snakemake pack` wrote"


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    sizes = _sizes(path, archive)
    if sizes.pop(MANIFEST, LARGEST + 1) > LARGEST:
        raise InputError(f"{path}: is a zip archive without {MANIFEST}, and so no pack of records; give what `snakemake pack` wrote")
    try:
        text = archive.read(MANIFEST)
        data = json.loads(text)
    except DAMAGE as error:
        raise InputError(f"{path}: {MANIFEST} is damaged ({error}); {AGAIN}") from error
    written = data.get("format") if isinstance(data, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise InputError(f"{path}: is a pack of format {written}, and this NormBench reads up to format {FORMAT}; update this clone")
    if archive.comment.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        raise InputError(f"{path}: {MANIFEST} was changed after the pack was made (the archive's comment has another sha256); {AGAIN}")
    manifest = validated(Manifest, data, f"{path}: {MANIFEST}")
    if not _is_as_written(manifest, text):
        raise InputError(f"{path}: {MANIFEST} is not as `snakemake pack` writes it; {AGAIN}")
    _check_members(path, manifest, sizes)
    return manifest


def _is_as_written(manifest: Manifest, text: bytes) -> bool:
    """Whether the text is the manifest's one form: no key twice, and numbers that are numbers."""
    try:
        return manifest.text().encode() == text
    except ValueError:
        return False


def _sizes(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    """name -> bytes, of an archive in which each name stands once, packed as `snakemake pack` does it."""
    sizes: dict[str, int] = {}
    for info in archive.infolist():
        if info.filename in sizes:
            raise InputError(f"{path}: {info.filename!r} stands in it twice; no pack that `snakemake pack` wrote does; {AGAIN}")
        if info.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            raise InputError(f"{path}: {info.filename!r} is packed in a way that `snakemake pack` does not use; {AGAIN}")
        sizes[info.filename] = info.file_size
    return sizes


def _check_members(path: Path, manifest: Manifest, sizes: dict[str, int]) -> None:
    """The archive holds what the manifest says, and the manifest a record of each run and nothing but what runs leave."""
    told = {name: member.bytes for name, member in manifest.members.items()}
    wrong = [name for name in sorted(told.keys() | sizes.keys()) if told.get(name) != sizes.get(name)]
    if wrong:
        name = wrong[0]
        counts = [f"{n} bytes" if n is not None else "nothing" for n in (sizes.get(name), told.get(name))]
        raise InputError(
            f"{path}: {name!r} was changed after the pack was made: it holds {counts[0]}, {MANIFEST} says {counts[1]}; {AGAIN}"
        )
    runs = manifest.runs()
    may = {member_name(kind, run) for kind in PLACES for run in runs}
    must = {member_name("records", run) for run in runs}
    if strange := sorted((told.keys() - may) | (must - told.keys())):
        raise InputError(f"{path}: {MANIFEST} and the members do not agree about {strange[0]!r}; {AGAIN}")
