"""The watcher beside a build: complete runs get into MLflow for a hundredth of the cores' time, and one importer at a time writes."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from facts import names
from patience import until
from records_on_disk import a_record, write_index, write_line

from normbench.core.errors import InputError
from normbench.core.schema import ROOT
from normbench.execution import mlflow_import, mlflow_watch
from normbench.execution.mlflow_mirror import LOCK, Mirror
from normbench.execution.mlflow_watch import ARM, LOADING, SHARE, Allowance, Watcher, adder
from normbench.execution.records import write_record
from normbench.planning import lock
from normbench.planning.folders import Folders
from normbench.planning.lock import one_at_a_time

START, LOOK = 0.3, 3e-4  # CPU seconds of a process that begins, and of a second that it waits through
CORES = 2


class Simulation:
    """A machine on which `arms` get complete at given seconds, and their import costs so many CPU seconds. log: (second, arm)."""

    def __init__(self, index: Path, arms: dict[str, tuple[float, float]], ends: float = 1e9):
        self.index, self.arms, self.ends = index, arms, ends
        self.now, self.cpu, self.peak = 0.0, START, 0.0
        self.log: list[tuple[float, str]] = []
        index.mkdir()
        self.allowance = Allowance(CORES, lambda: self.now, lambda: self.cpu)

    def watch(self) -> None:
        Watcher(self.allowance, self.add, lambda: self.now < self.ends, self.sleep).watch(self.index, self.arms)

    def sleep(self, seconds: float) -> None:
        self.passes(seconds, LOOK)

    def add(self, arm: str) -> bool:
        loading = 0.8 * LOADING if not self.log else 0.0
        self.log.append((self.now, arm))
        cost = self.arms[arm][1] + loading
        self.passes(cost, cost)
        return True

    def passes(self, seconds: float, cpu: float) -> None:
        self.now, self.cpu = self.now + seconds, self.cpu + cpu
        for arm, (when, _) in self.arms.items():
            if when <= self.now:
                (self.index / f"{arm}.json").touch()
        if self.now > START / (SHARE * CORES):  # before that the start alone is more
            self.peak = max(self.peak, self.cpu / (self.now * CORES))


def test_it_never_takes_more_than_its_share_and_imports_all(tmp_path):
    arms = {f"arm{i}": (7.0 * i, 0.1 + 0.3 * (i % 2)) for i in range(100)}
    simulated = Simulation(tmp_path / "index", arms)
    simulated.watch()
    assert [arm for _, arm in simulated.log] == list(arms)
    assert simulated.log[0][0] >= LOADING / (SHARE * CORES), "MLflow was loaded before it was paid for"
    assert 0.5 * SHARE < simulated.peak <= SHARE


def test_an_arm_that_was_dearer_than_expected_is_waited_for_afterwards(tmp_path):
    simulated = Simulation(tmp_path / "index", {"cheap": (0.0, 0.1), "dear": (0.0, 20 * ARM), "last": (0.0, 0.1)})
    simulated.watch()
    times = {arm: when for when, arm in simulated.log}
    assert times["last"] >= (START + 0.8 * LOADING + 0.1 + 20 * ARM + 20 * ARM) / (SHARE * CORES)


def test_a_build_that_ends_soon_loads_nothing(tmp_path):
    simulated = Simulation(tmp_path / "index", {"arm": (0.0, 0.1)}, ends=60)
    simulated.watch()
    assert not simulated.log and simulated.now < 62


def test_a_store_that_cannot_be_written_is_said_once_and_tried_again(tmp_path, capsys):
    simulated, tried = Simulation(tmp_path / "index", {"a": (0.0, 0.1), "b": (0.0, 0.1)}), []
    add = simulated.add

    def fails_at_first(arm: str) -> bool:
        tried.append(simulated.now)
        if len(tried) <= 3:
            raise InputError("http://127.0.0.1:9: MLflow's store cannot be written (refused)")
        return add(arm)

    simulated.add = fails_at_first
    simulated.watch()
    names(capsys.readouterr().err, "http://127.0.0.1:9", "refused")
    assert {arm for _, arm in simulated.log} == {"a", "b"} and len(tried) == 5
    assert all(later - earlier >= mlflow_watch.AGAIN for earlier, later in pairwise(tried[:4]))


def test_an_index_of_an_arm_that_is_trained_anew_is_looked_at_again_once_it_is_written(tmp_path):
    simulated, tried = Simulation(tmp_path / "index", {"arm": (0.0, 0.1)}), []

    def incomplete_until_written(arm: str) -> bool:
        tried.append(simulated.now)
        return len(tried) == 2

    def sleep(seconds: float) -> None:
        simulated.now += seconds
        if simulated.now > 1000:
            os.utime(simulated.index / "arm.json", ns=(1, 1))

    (simulated.index / "arm.json").touch()
    Watcher(simulated.allowance, incomplete_until_written, lambda: simulated.now < 5000, sleep).watch(simulated.index, ["arm"])
    assert len(tried) == 2 and tried[0] < 1000 < tried[1] < 1100


def test_who_asks_for_the_same_file_waits_and_learns_that_another_was_there(tmp_path, monkeypatch):
    order = []

    def enters() -> None:
        with one_at_a_time(tmp_path / "lock"):
            order.append("enters")

    with one_at_a_time(tmp_path / "lock") as others_were:
        assert others_were
        waiting = threading.Thread(target=enters)
        waiting.start()
        time.sleep(0.3)
        order.append("leaves")
    waiting.join()
    assert order == ["leaves", "enters"]
    with one_at_a_time(tmp_path / "lock") as others_were:
        assert not others_were
    with monkeypatch.context() as patch:
        patch.setattr(lock, "_SELF", b"another\n")
        enters()
    with one_at_a_time(tmp_path / "lock") as others_were:
        assert others_were


def found(build: Path) -> list[str]:
    """The tag run of MLflow's runs, in order."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{build}/mlflow.db")
    experiment = client.get_experiment_by_name("normbench/tiny/imagenet")
    return sorted(run.data.tags["run"] for run in client.search_runs([experiment.experiment_id])) if experiment else []


@pytest.fixture
def root(tmp_path) -> Path:
    return write_line(tmp_path / "build" / "tiny")


@pytest.mark.slow
def test_watcher_and_rule_together_import_each_run_once(root, monkeypatch):
    folders, uri = Folders.of(root), f"sqlite:///{root.parent}/mlflow.db"
    add = adder(root, uri)
    folders.record("arm-s2").rename(root / "aside")
    assert not add("arm") and not (root.parent / "mlflow.db").exists(), "an arm with a run to train was imported"
    (root / "aside").rename(folders.record("arm-s2"))
    assert add("arm") and found(root.parent) == ["arm-s0", "arm-s1", "arm-s2"]
    write_record(a_record(1, metrics={"test_top1": 55.0}), folders.record("arm-s1"))
    write_index(folders)
    with monkeypatch.context() as other_process:
        other_process.setattr(lock, "_SELF", b"another\n")
        assert mlflow_import.import_records(root, uri) == (1, 2)
    assert add("arm") and found(root.parent) == ["arm-s0", "arm-s1", "arm-s2"]


@pytest.mark.slow
def test_nobody_else_imports_while_one_does(root):
    mirror = Mirror(root, f"sqlite:///{root.parent}/mlflow.db")
    with mirror.alone(), open(root.parent / LOCK, "ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.slow
def test_a_real_watcher_imports_what_appears_and_ends_without_a_word(root):
    """With so many cores that nothing has to be waited for."""
    words = [
        "--root",
        str(root),
        "--tracking-uri",
        f"sqlite:///{root.parent}/mlflow.db",
        "--cores",
        "1000000",
        "--parent",
        str(os.getpid()),
    ]
    index = Folders.of(root).index("arm")
    index.rename(root / "aside")
    command = [sys.executable, "-m", "normbench.execution.mlflow_watch", *words]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **streams) as watcher:
        watcher.stdin.write('["arm"]')
        watcher.stdin.close()
        until(lambda: os.getpriority(os.PRIO_PROCESS, watcher.pid) == mlflow_watch.NICE, "it is nice")
        assert watcher.poll() is None and not (root.parent / "mlflow.db").exists()
        (root / "aside").rename(index)
        assert (watcher.stdout.read(), watcher.wait()) == ("", 0)
    assert found(root.parent) == ["arm-s0", "arm-s1", "arm-s2"]


@pytest.mark.slow
def test_a_watcher_whose_snakemake_has_ended_ends_too(root):
    words = ["--root", str(root), "--tracking-uri", "http://127.0.0.1:9", "--cores", "1", "--parent", str(os.getpid() + 1)]
    command = [sys.executable, "-m", "normbench.execution.mlflow_watch", *words]
    done = subprocess.run(command, cwd=ROOT, input='["arm"]', capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_what_trains_is_watched():
    """The watcher starts behind the same question as the display."""
    started = (ROOT / "Snakefile").read_text(encoding="utf-8").partition("onstart:")[2].partition("onsuccess:")[0]
    assert "asked() <= LOOKS" in started and started.index("LOOKS") < started.index("start_watcher(pipeline")
