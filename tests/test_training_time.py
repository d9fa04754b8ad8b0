"""What a training says of its time, by a clock that only its batches and its evaluation move."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from clock import Clock
from records_on_disk import CODE, SPEC
from trainings import BATCH, batches, evaluate, poisoned, recipe, small_net, training

from normbench.execution import job, stopwatch
from normbench.execution.progress import Reporter
from normbench.execution.records import Record, read_record
from normbench.execution.stopwatch import Stopwatch
from normbench.execution.task_api import Result
from normbench.planning.folders import Folders
from normbench.training import loop
from normbench.training.distributed import Processes
from normbench.training.loop import Trained, fit


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


@pytest.mark.parametrize("seconds, told", [(0.2, [1, 4, 7]), (0.3, [1, 3, 5, 7]), (2.0, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_progress_is_told_at_most_twice_a_second_and_of_each_slow_step(clock, seconds, told):
    steps = []
    fit(training(small_net(), recipe(), batches=clock.slow(seconds, batches), progress=lambda step, total, loss: steps.append(step)))
    assert steps == told


def times(trained: Trained) -> tuple[str, float, float, int]:
    return trained.status, trained.seconds, trained.step_seconds, trained.samples


def test_evaluations_are_part_of_the_seconds_and_not_of_the_steps(clock):
    def slow_evaluation(model):
        clock.now += 10
        return evaluate(model)

    trained = fit(training(small_net(), recipe(evaluations=2), batches=clock.slow(1, batches), evaluate=slow_evaluation))
    assert times(trained) == ("finished", 8 + 2 * 10, 8, 8 * BATCH)


@pytest.mark.parametrize("step", [0, 4])
def test_a_diverged_run_took_the_time_of_all_its_steps_and_its_speed_is_that_of_the_sound_ones(clock, step):
    trained = fit(training(small_net(), recipe(), batches=clock.slow(1, poisoned(step, float("nan")))))
    assert times(trained) == ("diverged", step + 1, step, step * BATCH)


def test_what_came_before_a_stop_counts_and_the_pause_does_not(clock, tmp_path):
    def five(start):
        return islice(batches(start), 5)

    with pytest.raises(StopIteration):
        fit(training(small_net(), recipe(), tmp_path / "run.pt", every=0, batches=clock.slow(1, five)))
    clock.now += 1000
    trained = fit(training(small_net(), recipe(), tmp_path / "run.pt", batches=clock.slow(1, batches)))
    assert times(trained) == ("finished", 8, 8, 8 * BATCH)


def record_of(clock: Clock, monkeypatch, folder, trained: Trained, seconds: float) -> Record:
    """The record of a run that took so many seconds and came to `trained`."""

    def run(spec, seed, context) -> Result:
        for step in range(round(seconds)):
            clock.now += 1
            context.progress(step, 10, 1.0)
        if trained.status == "killed":
            raise KeyboardInterrupt
        return Result(trained)

    monkeypatch.setattr(job, "load_adapter", lambda task: SimpleNamespace(run=run))
    folders = Folders(folder, "tiny")
    place = job.Place(folders, folder, torch.device("cpu"), Processes(), Reporter(folders.root / "progress.json"))
    job.train_run(place, {"arm": "arm", "spec": SPEC, "code": CODE}, 0)
    return read_record(folders.record("arm-s0"))


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_record_has_the_seconds_of_the_run_and_of_its_steps_and_the_speed_in_them(clock, monkeypatch, tmp_path, status):
    trained = Trained(status=status, step=3, seconds=6, step_seconds=4, samples=20)
    record = record_of(clock, monkeypatch, tmp_path, trained, seconds=7)
    assert (record.status, record.seconds, record.step_seconds, record.samples_per_second) == (status, 7, 4, 5)


def test_a_run_that_diverged_in_its_first_step_has_seconds_and_no_speed(clock, monkeypatch, tmp_path):
    trained = Trained(status="diverged", step=1, seconds=6)
    record = record_of(clock, monkeypatch, tmp_path, trained, seconds=7)
    assert (record.seconds, record.step_seconds, record.samples_per_second) == (7, 0, None)


def test_the_seconds_of_a_process_that_was_killed_count_up_to_its_last_look(clock, monkeypatch, tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            record_of(clock, monkeypatch, tmp_path, Trained(status="killed"), seconds=13)
        clock.now += 1000
    assert record_of(clock, monkeypatch, tmp_path, Trained(), seconds=7).seconds == 10 + 10 + 7
    assert not list((tmp_path / "tiny" / "checkpoints").glob("*"))


def test_the_seconds_of_other_code_do_not_count(tmp_path):
    watch = Stopwatch(tmp_path / "run.seconds", "this code")
    assert watch.seconds() < Stopwatch(tmp_path / "run.seconds", "this code").seconds() + 1
    (tmp_path / "run.seconds").write_text('{"identity": "other code", "seconds": 1000}')
    assert Stopwatch(tmp_path / "run.seconds", "this code").seconds() < 1000 <= Stopwatch(tmp_path / "run.seconds", "other code").seconds()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": "this code", "seconds": "many"}'])
def test_what_cannot_be_read_counts_nothing(text, tmp_path):
    (tmp_path / "run.seconds").write_text(text)
    assert Stopwatch(tmp_path / "run.seconds", "this code").seconds() < 1000
