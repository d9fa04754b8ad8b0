"""Builds with invented records of a tier's own arms, and packs of them, for the tests of what packs, carries and takes up."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from records_on_disk import a_record

from normbench.config.code_hash import code_of_arm
from normbench.config.method_files import read_method
from normbench.config.spec import run_id
from normbench.core.files import whole_file
from normbench.dataset.pack import finished, write_pack
from normbench.dataset.packed_records import PNG
from normbench.execution.index import write_index
from normbench.execution.records import write_record
from normbench.planning.pipeline import Pipeline, arm_content, open_pipeline
from normbench.planning.record_pack import MANIFEST, read_pack

SELECTION = {"tier": "tiny", "papers": "norm_matters", "tasks": "imagenet", "methods": "batch_norm"}
SEEDS = (0, 1)  # of the tiny tier


def opened(build: Path, *packs: Path, **config: Any) -> Pipeline:
    """The build as it stands, and what the packs offer it."""
    given = {"pack": ",".join(map(str, packs))} if packs else {}
    return open_pipeline({**SELECTION, "build": str(build), **given, **config})


def arms_of(pipeline: Pipeline, number: int = 2) -> list[str]:
    """The first of the selected arms: those that the invented records are of."""
    return pipeline.plan.selected[:number]


def a_build(build: Path, seeds: Iterable[int] = SEEDS, arms: int = 2, extra: bool = True, **fields: Any) -> Pipeline:
    """A build that has these seeds of its first arms. extra: the first run left norms and a picture. fields: of the records."""
    pipeline = opened(build)
    plan, folders = pipeline.plan, pipeline.folders
    for arm in arms_of(pipeline, arms):
        spec = plan.arms[arm]
        made_of = {"spec": asdict(spec), "code": code_of_arm(spec), "method_sha256": read_method(spec.method).sha256}
        for seed in seeds:
            write_record(a_record(seed, arm, **made_of | fields), folders.record(run_id(arm, seed)))
        if set(seeds) == set(plan.seeds(arm)):
            write_index(folders, arm_content(plan, arm))
    if extra:
        run = run_id(arms_of(pipeline)[0], next(iter(seeds)))
        with whole_file(folders.norms(run)) as file:
            np.savez(file, weight=np.arange(3.0))
        with whole_file(folders.picture(run)) as file:
            file.write(PNG + b"what it saw")
    return opened(build)


def pack_of(pipeline: Pipeline, to: Path | None = None) -> Path:
    return write_pack(finished(pipeline.plan, pipeline.folders), pipeline.folders, to or pipeline.folders.build.parent)


def contents(pack: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(pack: Path, members: list[tuple[str, bytes]], comment: bytes | None = None) -> Path:
    """An archive of these members in the pack's place, with its comment unless another is given."""
    with zipfile.ZipFile(pack) as archive:
        comment = archive.comment if comment is None else comment
    with zipfile.ZipFile(pack, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
        archive.comment = comment
    return pack


def forged(pack: Path, name: str, data: bytes) -> Path:
    """The pack with another content of a member, and a manifest that says so."""
    found = contents(pack) | {name: data}
    return with_manifest(
        pack, found, lambda m: m["members"].update({name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}})
    )


def with_manifest(pack: Path, found: dict[str, bytes], change: Callable[[dict], Any]) -> Path:
    """The pack of these members with a changed manifest, whose digest is the archive's comment."""
    manifest = json.loads(found[MANIFEST])
    change(manifest)
    text = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return rewritten(pack, list((found | {MANIFEST: text}).items()), hashlib.sha256(text).hexdigest().encode())


def packed_runs(pack: Path) -> set[str]:
    return set(read_pack(pack).manifest.runs())
