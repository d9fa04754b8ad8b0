"""Records carried from a build to others by `snakemake pack` and `snakemake all --config pack=...`: what came along is not trained."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from facts import names
from packs import contents, packed_runs
from test_plan_file import state
from test_two_commands import ENVIRONMENT, command, run

from normbench.core.schema import ROOT
from normbench.execution.records import read_record

pytestmark = pytest.mark.slow

SELECTION = ("tier=tiny", "papers=norm_matters", "tasks=imagenet", "methods=l1_batch_norm")


def packed(build: Path, to: Path) -> tuple[Path, str]:
    """(the pack that `snakemake pack` writes, what it says)."""
    done = run(command("pack", build, *SELECTION, f"pack_to={to}"))
    assert done.returncode == 0, done.stdout + done.stderr
    (pack,) = to.iterdir()
    assert str(pack) in done.stdout + done.stderr
    return pack, done.stdout + done.stderr


def carried(target: str, build: Path, *packs: Path) -> subprocess.CompletedProcess:
    return run(command(target, build, *SELECTION, f"pack={','.join(map(str, packs))}"))


def records(build: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (build / "tiny" / "records").glob("*.json")}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> tuple[Path, Path]:
    """(a build, a pack that was made while it trained)."""
    folder = tmp_path_factory.mktemp("source")
    build, log = folder / "build", folder / "log"
    with open(log, "w") as file:
        first = subprocess.Popen(command("runs", build, *SELECTION), cwd=ROOT, stdout=file, stderr=file, env=ENVIRONMENT)
    while first.poll() is None and not list(build.glob("tiny/records/*.json")):
        time.sleep(0.05)
    beside, _ = packed(build, folder / "beside")
    assert first.wait() == 0, log.read_text()
    return build, beside


def test_a_pack_made_beside_a_training_holds_whole_records_of_it(source):
    build, beside = source
    whole = records(build)
    assert packed_runs(beside) and packed_runs(beside) <= whole.keys()
    assert all(whole[run] == data for run in packed_runs(beside) for data in [contents(beside)[f"records/{run}.json"]])


def test_another_build_takes_all_up_and_trains_nothing(source, tmp_path):
    build, _ = source
    before = state(build)
    pack, _ = packed(build, tmp_path / "packs")
    assert state(build) == before and packed_runs(pack) == records(build).keys()
    other = tmp_path / "other"
    done = carried("claims", other, pack)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "rule train" not in said, said
    assert not list(other.glob("tiny/jobs/*")) and not (other / "tiny" / "logs").exists()
    assert records(other) == records(build)
    for name in ("runs.parquet", "curves.parquet", "probes.parquet", "plan.json"):
        assert (other / "tiny" / name).read_bytes() == (build / "tiny" / name).read_bytes(), name
    assert (other / "tiny" / "claims.csv").is_file()
    marks = state(other)
    again = carried("claims", other, pack)
    assert again.returncode == 0 and {n: a for n, a in state(other).items() if "building" not in n} == {
        n: a for n, a in marks.items() if "building" not in n
    }


def test_what_a_pack_lacks_is_trained_and_comes_out_alike(source, tmp_path):
    """Two machines had a part each, and one run is in neither pack."""
    build, _ = source
    parts = [tmp_path / "one", tmp_path / "two"]
    runs = sorted(records(build))
    kept = [runs[1::2], runs[2::2]]
    for part, mine in zip(parts, kept, strict=True):
        shutil.copytree(build, part)
        for gone in set(runs) - set(mine):
            os.unlink(part / "tiny" / "records" / f"{gone}.json")
    packs = [packed(part, tmp_path / f"pack-{part.name}")[0] for part in parts]
    assert [packed_runs(pack) for pack in packs] == [set(mine) for mine in kept]
    other = tmp_path / "other"
    done = carried("runs", other, *packs)
    assert done.returncode == 0, done.stdout + done.stderr
    found, whole = records(other), records(build)
    assert found.keys() == whole.keys()
    assert all(found[run] == whole[run] for run in runs[1:]) and found[runs[0]] != whole[runs[0]]
    ours, theirs = (read_record(folder / "tiny" / "records" / f"{runs[0]}.json") for folder in (other, build))
    assert (ours.metrics, ours.curves, ours.status) == (theirs.metrics, theirs.curves, theirs.status)


def test_a_broken_pack_is_one_sentence_before_anything_trains(source, tmp_path):
    _, beside = source
    data = bytearray(beside.read_bytes())
    member = min(contents(beside).keys() - {"pack.json"})
    data[data.index(member.encode()) + len(member) + 20] ^= 1
    broken = tmp_path / "broken.zip"
    broken.write_bytes(data)
    done = carried("all", tmp_path / "build", broken)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in said and "rule train" not in said
    (sentence,) = [line for line in said.splitlines() if str(broken) in line and "Command" not in line]
    names(sentence, member, "damaged", "copy it again")
    assert set(state(tmp_path / "build")) == {"tiny/building"}
