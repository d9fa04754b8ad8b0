"""The plan's one form on disk, what it says of a run, and that whatever only looks changes no file of a build."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from facts import mistake
from hypothesis import given
from hypothesis import strategies as st
from records_on_disk import run_main, write_line

from normbench.config.spec import run_id
from normbench.core.errors import InputError
from normbench.core.schema import ROOT
from normbench.execution import collect
from normbench.planning.folders import SHORT, Folders
from normbench.planning.lock import hold, release
from normbench.planning.make import Selection, make_plan
from normbench.planning.packing import jobs
from normbench.planning.pipeline import job_id, open_pipeline, prepare
from normbench.planning.plan import FORMAT, Plan

CONFIG = {"tier": "tiny", "papers": "norm_matters", "tasks": "imagenet"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan("tiny", Selection(papers=("norm_matters", "rescalenet")))


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """path -> size and time of every file."""
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("tier", ["tiny", "quick", "laptop", "gpu", "paper"])
def test_a_plan_is_read_as_it_was_written(tier, tmp_path):
    plan = make_plan(tier)
    plan.write(tmp_path)
    again = Plan.read(tmp_path)
    assert again.text() == plan.text() and again.digest == plan.digest
    assert (again.arms, again.efforts, again.points, again.code) == (plan.arms, plan.efforts, plan.points, plan.code)
    assert list(again.papers) == list(plan.papers) and again.tier.model_dump() == plan.tier.model_dump()
    again.write(tmp_path / "copy")
    assert Plan.read(tmp_path / "copy").digest == plan.digest


def test_a_part_of_a_plan_keeps_the_others_points_and_nothing_else_of_them(plan, tmp_path):
    part = plan.only(set(plan.selected[:3]))
    part.write(tmp_path)
    again = Plan.read(tmp_path)
    assert set(again.arms) == set(again.efforts) == set(plan.selected[:3]) and again.points == plan.points
    assert again.digest == part.digest != plan.digest


def test_a_plan_says_what_its_runs_are_called(plan):
    arm = plan.arms_at("norm_matters", "resnet18_l2")[0]
    assert "norm_matters/resnet18_l2" in plan.names[arm] and plan.model_names(arm) == ["resnet18"]
    guest = make_plan("tiny", Selection(papers=("rescalenet",), methods=("layer_norm",)))
    hosted = next(name for name in (name for _, name in guest.points) if name.endswith("@layer_norm"))
    (arm,) = guest.arms_at("rescalenet", hosted)
    host = guest.arms_at("rescalenet", hosted.partition("@")[0])[0]
    assert guest.model_names(arm) == guest.model_names(host) and guest.arms[arm].method == "layer_norm"
    assert guest.runs_of(arm) == [run_id(arm, seed) for seed in guest.seeds(arm)]


@pytest.mark.parametrize("broken", ["plan.json", "tier.yaml", "papers/norm_matters.yaml"])
def test_a_file_of_a_plan_that_is_missing_or_cut_is_named(plan, broken, tmp_path):
    plan.write(tmp_path)
    (tmp_path / broken).write_text((tmp_path / broken).read_text()[:50])
    with pytest.raises(InputError, match=Path(broken).stem):
        Plan.read(tmp_path)
    (tmp_path / broken).unlink()
    with pytest.raises(InputError, match=Path(broken).stem):
        Plan.read(tmp_path)


def test_a_build_of_a_newer_version_is_refused_and_one_of_an_older_is_read(plan, tmp_path):
    root = tmp_path / "tiny"
    plan.write(root)
    written = json.loads((root / "plan.json").read_text())
    (root / "plan.json").write_text(json.dumps(written | {"format": FORMAT + 1}))
    before = state(tmp_path)
    for read in (lambda: Plan.read(root), lambda: open_pipeline({**CONFIG, "build": str(tmp_path)})):
        with mistake(root / "plan.json", f"format {FORMAT + 1}", f"up to {FORMAT}", "update", "--config build="):
            read()
    assert state(tmp_path) == before
    del written["format"]
    (root / "plan.json").write_text(json.dumps(written))
    assert Plan.read(root).digest == plan.digest
    open_pipeline({**CONFIG, "build": str(tmp_path)})


def test_whoever_only_looks_changes_no_file(tmp_path):
    open_pipeline({**CONFIG, "build": str(tmp_path)})
    assert not list(tmp_path.iterdir())
    prepare(open_pipeline({**CONFIG, "build": str(tmp_path)}))
    before = state(tmp_path)
    assert {"tiny/plan.json", "tiny/tier.yaml", "tiny/papers/norm_matters.yaml", "tiny/papers/reported.csv"} <= before.keys()
    open_pipeline({"tier": "tiny", "papers": "skipinit", "build": str(tmp_path), "data": str(tmp_path / "elsewhere")})
    open_pipeline({**CONFIG, "methods": "l1_batch_norm", "build": str(tmp_path), "tracking_uri": "http://127.0.0.1:5000"})
    assert state(tmp_path) == before
    prepare(open_pipeline({**CONFIG, "build": str(tmp_path)}))
    assert state(tmp_path) == before  # and what is as it should be is not written again


def test_every_job_that_is_prepared_lies_under_the_name_that_rules_ask_for(tmp_path):
    pipeline = open_pipeline({**CONFIG, "build": str(tmp_path)}, processes=2)
    prepare(pipeline)
    for job, arms in pipeline.jobs.items():
        assert json.loads(pipeline.folders.job(job).read_text())["arms"] == arms
        assert all(pipeline.folders.arm(arm).is_file() for arm in arms)
    assert pipeline.unfinished() == [str(pipeline.folders.job_done(job)) for job in pipeline.jobs]
    assert sorted(run for run in pipeline.plan.runs()) == sorted(
        run_id(arm, seed) for arms in pipeline.jobs.values() for arm, seeds in arms.items() for seed in seeds
    )


def test_a_job_that_has_to_be_done_again_gets_a_new_name(plan, tmp_path):
    folders, (pack, *_) = Folders(tmp_path, "tiny"), jobs(plan, plan.selected)
    first = job_id(folders, pack)
    assert first == job_id(folders, pack)
    names = {first}
    for _ in range(3):
        folders.job_done(job_id(folders, pack)).parent.mkdir(parents=True, exist_ok=True)
        folders.job_done(job_id(folders, pack)).touch()
        names.add(job_id(folders, pack))
    assert len(names) == 4


def test_a_dataset_that_was_lost_or_lies_elsewhere_is_made_under_another_mark(tmp_path):
    folders, data = Folders(tmp_path / "build", "tiny"), tmp_path / "data"
    (data / "digits").mkdir(parents=True)
    mark = folders.ready("digits", data)
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert folders.ready("digits", data) == mark != folders.ready("digits", tmp_path / "elsewhere")
    (data / "digits").rmdir()
    assert not folders.ready("digits", data).exists() and mark.exists()
    (data / "digits").mkdir()
    assert folders.ready("digits", data) == mark


def test_runs_are_not_collected_for_another_plan_than_theirs(tmp_path, capsys):
    root = write_line(tmp_path / "tiny")
    plan, done = Plan.read(root).digest[:SHORT], tmp_path / "tiny" / "collected" / "mine.json"
    done.parent.mkdir()
    (done.parent / "other.json").touch()
    assert run_main(collect.main, root, "--plan", "0" * SHORT, "--done", str(done)) == 1
    assert str(root / "plan.json") in (said := capsys.readouterr().err) and said.count("\n") == 1
    assert not done.exists() and (done.parent / "other.json").exists() and not (root / "runs.parquet").exists()
    assert run_main(collect.main, root, "--plan", plan, "--done", str(done)) == 0
    assert [p.name for p in done.parent.iterdir()] == ["mine.json"] and (root / "runs.parquet").is_file()


@given(st.text(alphabet="abc-_0", min_size=1), st.integers(0, 10**6))
def test_a_run_is_its_arm_and_its_seed(arm, seed):
    assert run_id(arm, seed) == f"{arm}-s{seed}"


def test_a_clusters_job_asks_for_nothing_that_was_there_before_it_was_sent(tmp_path):
    pipeline = open_pipeline({**CONFIG, "build": str(tmp_path)}, main=False)
    assert pipeline.checked() == [] and pipeline.datasets_of("none-of-this-process") == []
    prepare(open_pipeline({**CONFIG, "build": str(tmp_path)}))
    job = next(iter(pipeline.jobs))
    os.rename(pipeline.folders.job(job), pipeline.folders.job("sent-before"))
    assert pipeline.allocation("sent-before") == pipeline.allocation(job)


HOLD = """import sys, time
from pathlib import Path
from normbench.planning.lock import hold, release
hold(Path(sys.argv[1]))
print(1, flush=True)
time.sleep(999)"""


def test_a_build_is_held_by_one_process_and_freed_by_its_death(tmp_path, capsys):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "1\n"
    before = state(tmp_path)
    with mistake(tmp_path, f"process {other.pid} ", "again"):
        hold(tmp_path)
    assert state(tmp_path) == before
    other.kill()
    other.wait()
    hold(tmp_path)
    assert f"process {other.pid} " in capsys.readouterr().err, "whose end this goes on from"
    with pytest.raises(InputError, match=f"process {os.getpid()} "):
        hold(tmp_path)
    release()
    hold(tmp_path)
    assert not capsys.readouterr().err, "the one before ended by itself"
    release()


@pytest.mark.parametrize("alive", [True, False])
def test_where_nothing_can_be_locked_a_process_of_this_machine_that_lives_counts(alive, tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    if not alive:
        process.communicate(b"end")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    (tmp_path / "building").write_text(f"process {process.pid} on {socket.gethostname()}\n")
    if alive:
        with mistake(tmp_path, f"process {process.pid} "):
            hold(tmp_path)
        process.communicate(b"end")
    else:
        hold(tmp_path)
        release()
