"""Jobs beside each other on one machine: each run is trained once, by whoever has time, and nothing is lost with a process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import PATIENCE, until
from records_on_disk import CODE, SPEC, all_done

from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.execution.work_stealing import LOOK_EVERY
from normbench.planning.folders import Folders
from normbench.planning.pipeline import write_jobs

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("shared_job.py")
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}


class Jobs:
    """Jobs of arms with one seed each, as processes."""

    def __init__(self, folder: Path, jobs: dict[str, list[str]], sources: dict[str, str] | None = None):
        self.folder, self.folders, self.jobs = folder, Folders(folder, "tiny"), jobs
        (folder / "log").touch()
        for arm in [arm for arms in jobs.values() for arm in arms]:
            spec = {**SPEC, "source": (sources or {}).get(arm)}
            write_json(self.folders.arm(arm), {"arm": arm, "spec": spec, "code": CODE, "seeds": [0]})
        self.folders.job("any").parent.mkdir()
        write_jobs(self.folders, {job: {arm: [0] for arm in arms} for job, arms in jobs.items()})

    def start(self, job: str, share: bool = True) -> subprocess.Popen:
        words = ["--root", self.folders.root, "--data", self.folders.build, "--job", job, *(["--share"] if share else [])]
        command = [sys.executable, SCRIPT, self.folder, *words]
        return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)

    def hold(self, *arms: str) -> None:
        for arm in arms:
            (self.folder / f"hold-{arm}").touch()

    def let_go(self, arm: str) -> None:
        (self.folder / f"hold-{arm}").unlink()

    def said(self, *of: str) -> list[tuple[str, str, int]]:
        """(began or ended, arm, process) in the order of time."""
        lines = map(str.split, (self.folder / "log").read_text().splitlines())
        return [(what, arm, int(pid)) for what, arm, pid in lines if not of or arm in of]

    def wait_for(self, what: str, arm: str, process: subprocess.Popen) -> None:
        def ended_or_said() -> bool:
            ended = process.poll() is not None  # looked at first: what it said before its end counts
            return (what, arm, process.pid) in self.said() or ended

        until(ended_or_said, f"{arm} {what} in {process.args}")
        assert (what, arm, process.pid) in self.said(), process.stderr.read()

    def done(self, job: str) -> bool:
        return self.folders.job(job).with_suffix(".done").is_file()


@pytest.mark.parametrize("share", [True, False])
def test_who_has_no_run_left_takes_the_last_of_the_others_and_each_is_trained_once(tmp_path, share):
    arms = [f"arm{i}" for i in range(4)]
    jobs = Jobs(tmp_path, {"long": arms, "short": ["alone"]})
    jobs.hold("arm0")
    long = jobs.start("long", share)
    jobs.wait_for("began", "arm0", long)
    short = jobs.start("short", share)
    if share:
        jobs.wait_for("ended", "arm1", short)
    else:
        assert short.wait(PATIENCE) == 0
    jobs.let_go("arm0")
    assert (long.wait(PATIENCE), short.wait(PATIENCE)) == (0, 0), (long.communicate(), short.communicate())
    assert [arm for what, arm, pid in jobs.said() if (what, pid) == ("began", short.pid)] == ["alone", *(arms[:0:-1] if share else [])]
    assert sorted(arm for what, arm, _ in jobs.said() if what == "began") == ["alone", *arms]
    assert all(all_done(jobs.folders, arm) for arm in ["alone", *arms]) and jobs.done("long") and jobs.done("short")
    assert not any((jobs.folders.root / "locks").glob("*"))


def test_a_run_that_needs_anothers_norms_waits_for_it(tmp_path):
    jobs = Jobs(tmp_path, {"long": ["source", "other", "corrected"], "short": ["alone"]}, {"corrected": "source"})
    jobs.hold("source")
    long = jobs.start("long")
    jobs.wait_for("began", "source", long)
    short = jobs.start("short")
    jobs.wait_for("ended", "other", short)
    assert short.wait(PATIENCE) == 0
    assert not jobs.said("corrected")
    jobs.let_go("source")
    assert long.wait(PATIENCE) == 0
    assert [(what, arm) for what, arm, _ in jobs.said("source", "corrected")][1:3] == [("ended", "source"), ("began", "corrected")]
    assert all_done(jobs.folders, "corrected")


def test_what_a_killed_process_had_taken_is_trained_by_the_job_that_it_is_of(tmp_path):
    jobs = Jobs(tmp_path, {"long": ["first", "last"], "idle": []})
    jobs.hold("first", "last")
    long = jobs.start("long")
    jobs.wait_for("began", "first", long)
    idle = jobs.start("idle")
    jobs.wait_for("began", "last", idle)
    jobs.let_go("first")
    jobs.wait_for("ended", "first", long)
    time.sleep(3 * LOOK_EVERY)
    assert long.poll() is None and ("began", "last", long.pid) not in jobs.said()
    idle.kill()
    jobs.wait_for("began", "last", long)
    jobs.let_go("last")
    assert (long.wait(PATIENCE), idle.wait(PATIENCE)) == (0, -signal.SIGKILL)
    assert jobs.said("last")[-1] == ("ended", "last", long.pid)
    assert all_done(jobs.folders, "last") and jobs.done("long") and not jobs.done("idle")


def test_a_mistake_is_told_by_the_job_that_it_is_of_and_ends_what_needs_its_norms(tmp_path):
    jobs = Jobs(tmp_path, {"long": ["first", "bad", "needs"], "short": ["alone"]}, {"needs": "bad"})
    jobs.hold("first")
    long = jobs.start("long")
    jobs.wait_for("began", "first", long)
    short = jobs.start("short")
    assert short.wait(PATIENCE) == 0 and short.stderr.read() == "", "what fails there is another's to tell"
    assert ("began", "bad", short.pid) in jobs.said()
    jobs.let_go("first")
    assert long.wait(PATIENCE) == 1
    assert long.stderr.read().splitlines() == ["error: bad: is a mistake", "error: needs: needs the weight norms of bad, which failed"]
    assert all_done(jobs.folders, "first") and not all_done(jobs.folders, "needs") and not jobs.done("long")
