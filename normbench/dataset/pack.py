"""The finished records of a build in one file:  python -m normbench.dataset.pack --config '{"tier": "laptop"}'

Reads a build and changes nothing of it, also while it is being built. Every current record of the selected runs is packed, of arms too
that lack seeds; what planning/record_pack.py describes comes of it, in the build's folder or in the one that pack_to names.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from normbench.config.code_hash import code_of_arm
from normbench.config.spec import canonical, run_id
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import read_json, whole_file
from normbench.core.formatting import counted
from normbench.dataset.packed_records import number_fault
from normbench.execution.code_version import package_version
from normbench.execution.records import Record
from normbench.planning.folders import SHORT, Folders
from normbench.planning.pipeline import arm_content, arm_digest, open_pipeline
from normbench.planning.plan import Plan
from normbench.planning.record_pack import FORMAT, MANIFEST, PLACES, SUFFIX, Manifest, Member, PackedArm, member_name

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive knows


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, default={}, help="as Snakemake's --config, as JSON")
    config = {key: value for key, value in parser.parse_args().config.items() if key != "pack"}
    pipeline = open_pipeline(config)
    found = finished(pipeline.plan, pipeline.folders)
    path = write_pack(found, pipeline.folders, folder_of(config, pipeline.folders))
    for sentence in found.left:
        print(f"warning: {sentence}", file=sys.stderr)
    partial = sum(len(packed.seeds) < len(pipeline.plan.seeds(arm)) for arm, packed in found.arms.items())
    lacking = f", {partial} of which lack seeds" if partial else ""
    runs, arms = counted(sum(len(packed.seeds) for packed in found.arms.values()), "run"), counted(len(found.arms), "arm")
    print(f"{path}: {runs} of {arms}{lacking}, {path.stat().st_size / 1e6:.1f} MB")
    print(f"elsewhere: snakemake all --config tier={pipeline.folders.tier} pack={path.name}")


def folder_of(config: dict[str, Any], folders: Folders) -> Path:
    """Where the pack is written: pack_to, or the tier's folder. A pack has its name from what it holds, so that none replaces another."""
    folder = Path(config.get("pack_to") or folders.root).expanduser()
    if (folder.exists() and not folder.is_dir()) or folder.name.endswith(".zip"):
        raise InputError(
            f"--config pack_to: {folder} is a file's name; give a folder, in which the pack is {folders.tier}-<digest>{SUFFIX}"
        )
    return folder


@dataclass
class Finished:
    """What a build has of its plan. left: sentences about records that are not packed."""

    arms: dict[str, PackedArm] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    commits: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)

    def manifest(self, tier: str) -> Manifest:
        commits = sorted(self.commits - {""})
        arms, members = dict(sorted(self.arms.items())), dict(sorted(self.members.items()))
        return Manifest(format=FORMAT, tier=tier, normbench=package_version(), commits=commits, arms=arms, members=members)


def finished(plan: Plan, folders: Folders) -> Finished:
    """The current records of the selected runs. Raises InputError where there is none."""
    found = Finished()
    for arm in plan.selected:
        spec = plan.arms[arm]
        packed = PackedArm(spec=asdict(spec), code=code_of_arm(spec), seeds=[])
        written = _written(plan, folders, arm)
        for seed in plan.seeds(arm):
            run = run_id(arm, seed)
            if (data := _bytes(folders.record(run))) is None:
                continue
            try:
                record = _checked(data, packed, written.get(run))
            except InputError as error:
                found.left.append(f"{folders.record(run)}: {error}, and is not packed")
                continue
            packed.seeds.append(seed)
            found.commits.add(record.git_commit)
            found.members |= {name: _member(data) for name, data in _left_by(folders, run)}
        if packed.seeds:
            found.arms[arm] = packed
    if not found.arms:
        left = f" ({found.left[0]})" if found.left else ""
        raise InputError(f"{folders.root}: has no finished record of these papers, tasks and methods{left}; `snakemake all` makes them")
    return found


def _written(plan: Plan, folders: Folders, arm: str) -> dict[str, str]:
    """run -> sha256 of its record when it was indexed, of an arm that is complete and current."""
    if not folders.index(arm).is_file():
        return {}
    index = read_json(folders.index(arm))
    current = index["content"] == arm_digest(arm_content(plan, arm))
    return {run: entry["sha256"] for run, entry in index["records"].items()} if current else {}


def _checked(data: bytes, packed: PackedArm, written: str | None) -> Record:
    """A record that may be packed. Raises InputError that says in words why another one may not."""
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        raise InputError(f"is cut short or no record ({error.errors()[0]['msg']})") from None
    if canonical(record.spec) != canonical(packed.spec) or record.code != packed.code:
        raise InputError("was made by other code")
    if written and hashlib.sha256(data).hexdigest() != written:
        raise InputError("was changed after it was written")
    if fault := number_fault(record):
        raise InputError(fault)
    return record


def write_pack(found: Finished, folders: Folders, to: Path) -> Path:
    """The pack in the folder `to`, whole or not at all."""
    manifest = found.manifest(folders.tier)
    text = manifest.text().encode()
    digest = hashlib.sha256(text).hexdigest()
    path = to / f"{folders.tier}-{digest[:SHORT]}{SUFFIX}"
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, MANIFEST, text)
        for run in manifest.runs():
            for name, data in _left_by(folders, run):
                if _member(data) != manifest.members.get(name):
                    raise InputError(f"{folders.root / name}: was replaced while it was packed; run the same command again")
                _add(archive, name, data)
        archive.comment = digest.encode()
    return path


def _left_by(folders: Folders, run: str) -> Iterator[tuple[str, bytes]]:
    """(name in the archive, content) of what a run left."""
    for kind, place in PLACES.items():
        if (data := _bytes(place(folders, run))) is not None:
            yield member_name(kind, run), data


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _member(data: bytes) -> Member:
    return Member(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Equal content gives equal bytes: no time, and rights that do not depend on who packs."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr, info.compress_type = 3, 0o644 << 16, zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


if __name__ == "__main__":
    sys.exit(main())
