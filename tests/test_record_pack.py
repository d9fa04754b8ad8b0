"""A pack of records: the same bytes of the same records, nothing of the build changed, and whatever is broken is named."""

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from facts import mistake, names
from hypothesis import given, settings
from hypothesis import strategies as st
from packs import a_build, arms_of, contents, forged, opened, pack_of, packed_runs, rewritten, with_manifest
from test_plan_file import state

from normbench.config.spec import run_id
from normbench.core.errors import InputError
from normbench.dataset import pack as packing
from normbench.dataset.packed_records import members
from normbench.dataset.take_up import take_up
from normbench.planning import record_pack
from normbench.planning.record_pack import FORMAT, MANIFEST, read_pack


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A pack of two arms with two seeds each."""
    return pack_of(a_build(tmp_path_factory.mktemp("whole") / "build"))


@pytest.fixture
def pack(whole, tmp_path) -> Path:
    """A copy of it, to break."""
    return Path(shutil.copy(whole, tmp_path / whole.name))


def first_record(pack: Path) -> str:
    return f"records/{min(packed_runs(pack))}.json"


def test_equal_records_give_equal_bytes_wherever_they_lie(whole, tmp_path):
    again = pack_of(a_build(tmp_path / "elsewhere" / "build"), tmp_path / "to")
    assert again.name == whole.name and again.read_bytes() == whole.read_bytes()
    other = pack_of(a_build(tmp_path / "other" / "build", seconds=2.5))
    assert other.name != whole.name


def test_a_pack_holds_what_the_runs_left_and_packing_changes_nothing_of_the_build(tmp_path):
    pipeline = a_build(tmp_path / "build", seeds=(0,))
    before = state(tmp_path / "build")
    pack = pack_of(pipeline)
    assert state(tmp_path / "build") == before
    runs = [run_id(arm, 0) for arm in arms_of(pipeline)]
    names_in = {MANIFEST, *(f"records/{run}.json" for run in runs), f"norms/{runs[0]}.npz", f"pictures/{runs[0]}.png"}
    found = contents(pack)
    assert found.keys() == names_in and packed_runs(pack) == set(runs)
    assert all(data == (pipeline.folders.root / name).read_bytes() for name, data in found.items() if name != MANIFEST)


def test_records_of_other_code_and_changed_ones_are_named_and_not_packed(tmp_path):
    pipeline = a_build(tmp_path / "build")
    first, second = arms_of(pipeline)
    folders = pipeline.folders
    edited, stale, cut = (folders.record(run) for run in (run_id(first, 0), run_id(second, 0), run_id(second, 1)))
    edited.write_text(edited.read_text().replace("80.0", "90.0"))
    stale.write_text(stale.read_text().replace('"code":{"', '"code":{"other":"1","'))
    cut.write_text(cut.read_text()[:100])
    found = packing.finished(pipeline.plan, folders)
    assert set(found.members) == {f"records/{run_id(first, 1)}.json"} and list(found.arms) == [first]
    for path, fact in ((edited, "changed"), (stale, "other code"), (cut, "cut short")):
        names(next(sentence for sentence in found.left if str(path) in sentence), fact, "not packed")


def test_a_build_without_records_and_a_files_name_are_refused(tmp_path):
    pipeline = opened(tmp_path / "build")
    with mistake(pipeline.folders.root, "no finished record", "snakemake all"):
        packing.finished(pipeline.plan, pipeline.folders)
    with mistake("--config pack_to", tmp_path / "mine.zip", "folder"):
        packing.folder_of({"pack_to": str(tmp_path / "mine.zip")}, pipeline.folders)


def test_a_record_that_is_replaced_while_it_is_packed_ends_the_packing(tmp_path):
    pipeline = a_build(tmp_path / "build")
    found = packing.finished(pipeline.plan, pipeline.folders)
    path = pipeline.folders.record(run_id(arms_of(pipeline)[1], 1))
    path.write_text(path.read_text().replace('"seconds":1.5', '"seconds":2.5'))
    with mistake(path, "replaced", "run the same command again"):
        packing.write_pack(found, pipeline.folders, tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())


def dumped(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def changed_record(pack: Path, **fields) -> Path:
    """The first record with other fields, and a manifest that knows it."""
    name = first_record(pack)
    record = json.loads(contents(pack)[name])
    return forged(pack, name, json.dumps(record | fields).encode())


def with_member(pack: Path, name: str, data: bytes) -> Path:
    """One member's content, and nothing else, is another."""
    return rewritten(pack, list((contents(pack) | {name: data}).items()))


def without(pack: Path, name: str) -> Path:
    return rewritten(pack, [(n, data) for n, data in contents(pack).items() if n != name])


def twice(pack: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return rewritten(pack, [*contents(pack).items(), (first_record(pack), contents(pack)[first_record(pack)])])


def escaping(pack: Path) -> Path:
    """A member whose name leads out of the folder that it might be unpacked in."""
    found = contents(pack)
    out = "records/../../../out.json"
    found[out] = found.pop(first_record(pack))

    def rename(manifest: dict) -> None:
        manifest["members"][out] = manifest["members"].pop(first_record(pack))

    return with_manifest(pack, found, rename)


def arm_that_escapes(pack: Path) -> Path:
    def rename(manifest: dict) -> None:
        manifest["arms"]["../out"] = manifest["arms"].pop(min(manifest["arms"]))

    return with_manifest(pack, contents(pack), rename)


def same_size(pack: Path) -> Path:
    name = first_record(pack)
    return with_member(pack, name, contents(pack)[name].replace(b"80.0", b"90.0"))


def edited_manifest(pack: Path) -> Path:
    return with_member(pack, MANIFEST, contents(pack)[MANIFEST].replace(b'"tier": "tiny"', b'"tier": "quick"'))


def written(pack: Path, data: bytes) -> Path:
    pack.write_bytes(data)
    return pack


BROKEN = {
    "missing": (lambda p: p.unlink() or p, ["--config pack", "no file", "snakemake pack"]),
    "a folder": (lambda p: p.unlink() or p.mkdir() or p, ["directory"]),
    "no zip": (lambda p: written(p, b"run,value\n"), ["no zip archive", "snakemake pack"]),
    "empty": (lambda p: written(p, b""), ["no zip archive"]),
    "cut": (lambda p: written(p, p.read_bytes()[:-300]), ["cut short", "copy it again"]),
    "some other zip": (lambda p: without(p, MANIFEST), [MANIFEST, "no pack"]),
    "newer": (lambda p: with_manifest(p, contents(p), lambda m: m.update(format=FORMAT + 1, more=1)), [f"format {FORMAT + 1}", "update"]),
    "manifest edited": (edited_manifest, [MANIFEST, "changed"]),
    "manifest of other keys": (lambda p: with_manifest(p, contents(p), lambda m: m.update(note="x")), [MANIFEST, "note"]),
    "manifest is no object": (lambda p: rewritten(p, [(MANIFEST, b"[]")]), [MANIFEST]),
    "number without end": (
        lambda p: with_manifest(p, contents(p), lambda m: next(iter(m["arms"].values()))["spec"].update(x=1e999)),
        [MANIFEST],
    ),
    "member longer": (lambda p: with_member(p, first_record(p), b"{}" * 9999), [first_record, "19998 bytes"]),
    "member edited": (same_size, [first_record, "changed", "sha256"]),
    "member gone": (lambda p: without(p, first_record(p)), [first_record, "nothing"]),
    "member added": (lambda p: with_member(p, "records/more.json", b"{}"), ["records/more.json"]),
    "member twice": (twice, [first_record, "twice"]),
    "name that escapes": (escaping, ["do not agree"]),
    "arm that escapes": (arm_that_escapes, ["../out"]),
    "other tier": (lambda p: with_manifest(p, contents(p), lambda m: m.update(tier="laptop")), ["laptop", "tiny", "--config tier=laptop"]),
    "no record": (lambda p: changed_record(p, end="not yet"), [first_record, "no record"]),
    "another seed's record": (lambda p: changed_record(p, seed=1), [first_record, "seed", "manifest says 0"]),
    "record of other code": (lambda p: changed_record(p, code={"task": "1"}), [first_record, "code"]),
    "out of range": (lambda p: changed_record(p, metrics={"test_top1": 120.0}), ["-s0", "test_top1", "120", "0..100"]),
    "no number": (lambda p: changed_record(p, metrics={"test_top1": float("nan")}), [first_record, "test_top1", "nan"]),
    "infinite curve": (lambda p: changed_record(p, curves={"train_loss": [[1, float("inf")]]}), [first_record, "train_loss"]),
    "unknown metric": (lambda p: changed_record(p, metrics={"beauty": 1.0}), [first_record, "beauty", "task.yaml"]),
    "probe of words": (
        lambda p: changed_record(p, probes=[{"layer": "a", "quantity": "b", "value": "c"}]),
        [first_record, "value", "number"],
    ),
    "norms of objects": (
        lambda p: forged(p, first_record(p).replace("records", "norms").replace("json", "npz"), dumped(w=np.array([{}], dtype=object))),
        ["norms/", "plain arrays"],
    ),
    "picture of text": (
        lambda p: forged(p, first_record(p).replace("records", "pictures").replace("json", "png"), b"<svg/>"),
        ["pictures/", "PNG"],
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_a_pack_is_named_and_nothing_is_written(what, whole, pack, tmp_path):
    change, facts = BROKEN[what]
    build = tmp_path / "build"
    a_build(build, seeds=(1,), arms=1)
    before = state(build)
    change(pack)
    with mistake(pack, *(first_record(whole) if fact is first_record else fact for fact in facts)):
        take_up(opened(build, pack))
    assert state(build) == before and not (tmp_path / "out.json").exists()


def everything(path: Path) -> list:
    pack = read_pack(path)
    with record_pack.opened(path) as archive:
        return [pack.manifest, *members(pack, archive)]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, bytes, list]:
    """(where to write broken copies, a pack's bytes, all that is read of it)."""
    pack = pack_of(a_build(tmp_path_factory.mktemp("small") / "build", seeds=(0,), arms=1))
    return pack.with_name("broken.zip"), pack.read_bytes(), everything(pack)


@settings(max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_bit_that_flipped_is_seen_or_says_nothing(small, place, bit):
    path, data, said = small
    broken = bytearray(data)
    broken[int(place * len(data))] ^= 1 << bit
    path.write_bytes(broken)
    try:
        assert everything(path) == said
    except InputError as error:
        names(str(error), path)


@given(left=st.floats(0, 1, exclude_max=True))
def test_a_pack_that_is_cut_anywhere_is_refused(small, left):
    path, data, _ = small
    path.write_bytes(data[: int(left * len(data))])
    with mistake(path):
        read_pack(path)


def test_what_a_pack_is_called_is_what_it_holds(whole):
    with zipfile.ZipFile(whole) as archive:
        digest = archive.comment.decode()
    assert hashlib.sha256(contents(whole)[MANIFEST]).hexdigest() == digest and whole.name == f"tiny-{digest[:12]}.normbench.zip"
