"""Taking up packs of records into a build, before anything trains and only for who holds it. Torch-free.

All that the packs hold is checked before the first file is written. The build's own records stay, whatever a pack says of their runs.
"""

import contextlib
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from normbench.config.spec import run_id
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.core.formatting import counted
from normbench.dataset.packed_records import difference, members, packed_record
from normbench.dataset.sentences import cut
from normbench.dataset.value_faults import run_problems
from normbench.execution.collect import run_rows
from normbench.execution.columns import RUNS
from normbench.execution.index import is_trained, write_index
from normbench.execution.leftovers import forget_checkpoints
from normbench.execution.records import Record, read_record
from normbench.execution.tables import table_of
from normbench.planning.folders import Folders
from normbench.planning.offers import Fitting
from normbench.planning.pipeline import Pipeline, arm_content
from normbench.planning.record_pack import PLACES, Pack, opened

WRITERS = 8  # each waits for the disk most of the time


@dataclass
class Checked:
    """What was found in the packs. taken: run -> the pack that it comes out of. kept: runs that the build has; differing: sentences."""

    contents: dict[str, dict[str, Any]]
    taken: dict[str, Pack] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    differing: list[str] = field(default_factory=list)


def take_up(pipeline: Pipeline) -> None:
    """Write what the packs offer and the build lacks, and say on stderr what was taken, what was kept and what was left.

    Raises InputError, and has written nothing, where a pack is not what its manifest says, holds a value that no run can have, or
    contradicts another one.
    """
    fittings, folders = pipeline.offers.fittings, pipeline.folders
    if not fittings:
        return
    contents = {arm: arm_content(pipeline.plan, arm) for one in fittings for arm in one.seeds}
    found = Checked(contents)
    with contextlib.ExitStack() as stack:
        archives = {one.pack.path: stack.enter_context(opened(one.pack.path)) for one in fittings}
        for one in fittings:
            _check(one, archives, found, pipeline)
        for arm in pipeline.offers.complete:
            _check_own(folders, contents[arm], found)
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda run: _write(folders, found.taken[run], archives[found.taken[run].path], run), found.taken))
    for arm in pipeline.offers.complete:
        write_index(folders, contents[arm])
    for one in fittings:
        print(said(one, found), file=sys.stderr)
    for sentence in cut(found.differing):
        print(f"warning: {sentence}", file=sys.stderr)


def said(one: Fitting, found: Checked) -> str:
    """What came of a pack: so many runs taken up, here already, left for which reasons."""
    runs = one.runs()
    taken = sum(found.taken.get(run) is one.pack for run in runs)
    left = f"; left: {one.why_left()}" if one.left else ""
    return f"normbench: {one.pack.path}: {counted(taken, 'run')} taken up, {len(runs) - taken} here already{left}"


def _check(one: Fitting, archives: dict[Path, zipfile.ZipFile], found: Checked, pipeline: Pipeline) -> None:
    """Every member of a pack, and each record that fits beside the build's own and the other packs'."""
    fits, rows, probed = one.runs(), [], []
    for kind, arm, seed, data in members(one.pack, archives[one.pack.path]):
        if kind != "records" or run_id(arm, seed) not in fits:
            continue
        record = packed_record(one.pack, arm, seed, data)
        rows += run_rows(record, pipeline.plan)
        probed += [record.run] * bool(record.probes)
        _place(one.pack, record, archives, found, pipeline.folders)
    for sentence in run_problems(one.pack.path, table_of(rows, RUNS), pl.Series("run", probed, dtype=pl.String)):
        raise InputError(f"{sentence}; no run of the tier was taken up")


def _place(pack: Pack, record: Record, archives: dict[Path, zipfile.ZipFile], found: Checked, folders: Folders) -> None:
    """Whether a record is taken, or the build or an earlier pack has its run."""
    run = record.run
    if is_trained(folders, found.contents[record.arm], record.seed):
        found.kept.add(run)
        if differs := difference(read_record(folders.record(run)), record):
            what, own, theirs = differs
            found.differing.append(f"{pack.path}: {run}: {what} is {theirs} there and {own} in this build, whose own record is kept")
    elif first := found.taken.get(run):
        other = packed_record(first, record.arm, record.seed, first.read(archives[first.path], "records", run))
        if differs := difference(other, record):
            what, before, now = differs
            raise InputError(f"{pack.path}: {run}: {what} is {now}, and {before} in {first.path}; give one of these two packs alone")
    else:
        found.taken[run] = pack


def _check_own(folders: Folders, content: dict[str, Any], found: Checked) -> None:
    """What completes an arm beside the packs is a whole record."""
    for seed in content["seeds"]:
        run = run_id(content["arm"], seed)
        if run not in found.taken and not is_trained(folders, content, seed):
            raise InputError(f"{folders.record(run)}: is damaged; remove it and run the same command again")


def _write(folders: Folders, pack: Pack, archive: zipfile.ZipFile, run: str) -> None:
    """What a run left, its record last."""
    for kind, place in PLACES.items():
        if pack.has(kind, run):
            data = pack.read(archive, kind, run)
            with whole_file(place(folders, run)) as file:
                file.write(data)
    forget_checkpoints(folders.checkpoint(run))
