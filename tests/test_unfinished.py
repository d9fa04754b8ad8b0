"""Arms without results: what a job says of one that failed, and what is made of it."""

import pytest
import torch
from records_on_disk import CODE, a_record, write_line

from normbench.core.errors import InputError
from normbench.execution import job
from normbench.execution.collect import collect_complete
from normbench.execution.columns import RUNS
from normbench.execution.job import Place, attempt
from normbench.execution.progress import Reporter
from normbench.execution.records import write_record
from normbench.execution.tables import read_table
from normbench.execution.unfinished import find_unfinished, read_unfinished, write_unfinished
from normbench.planning import pipeline
from normbench.planning.folders import Folders
from normbench.planning.pipeline import write_jobs
from normbench.planning.plan import Plan
from normbench.training.distributed import Processes


@pytest.fixture
def line(tmp_path) -> Folders:
    """A build whose one arm has three seeds, of which the last was never trained."""
    folders = Folders.of(write_line(tmp_path / "tiny"))
    folders.index("arm").unlink()
    folders.record("arm-s2").unlink()
    return folders


def place(folders: Folders) -> Place:
    return Place(folders, folders.build, torch.device("cpu"), Processes(), Reporter(folders.root / "progress.json"), job="some")


@pytest.fixture(autouse=True)
def invented_code(monkeypatch):
    """The records' own: they are no task's."""
    monkeypatch.setattr(pipeline, "code_of_arm", lambda spec: CODE)


def of_arm(folders: Folders, ended: bool = False):
    (row,) = find_unfinished(folders, Plan.read(folders.root), ["arm"], ended)
    return row


@pytest.mark.parametrize(
    "error, because", [(RuntimeError("a planted fault"), "RuntimeError: a planted fault"), (InputError("x: y"), "x: y")]
)
def test_a_fault_is_kept_with_its_log_until_the_arm_is_complete(error, because, line, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(job, "train_run", fail)
    assert not attempt(place(line), "arm", [0, 1, 2])
    assert because in capsys.readouterr().err
    row = of_arm(line)
    assert (row.status, row.because, row.log, row.trained, row.seeds) == ("failed", because, "logs/some.log", 2, 3)
    assert because in row.why and "logs/some.log" in row.why
    monkeypatch.setattr(job, "train_run", lambda place, content, seed: write_record(a_record(seed), line.record(f"arm-s{seed}")))
    assert attempt(place(line), "arm", [2])
    assert not line.failure("arm").exists() and line.index("arm").is_file()


def test_what_began_and_left_no_word_has_failed_once_no_job_is_left(line):
    assert of_arm(line, ended=True).status == "not finished", "no job of it began"
    write_jobs(line, {"killed": {"arm": [2]}})
    (line.root / "logs").mkdir()
    (line.root / "logs" / "killed.log").touch()
    assert (of_arm(line).status, of_arm(line).log) == ("not finished", "logs/killed.log")
    ended = of_arm(line, ended=True)
    assert (ended.status, ended.log) == ("failed", "logs/killed.log") and "killed" in ended.because


def test_a_record_of_other_code_is_no_trained_seed(line):
    write_record(a_record(1, code={"method": "other", "task": "2"}), line.record("arm-s1"))
    assert of_arm(line).trained == 1


def test_the_file_is_read_as_it_was_written(line):
    rows = find_unfinished(line, Plan.read(line.root), ["arm"], False)
    write_unfinished(line.root, rows)
    assert read_unfinished(line.root) == {"arm": rows[0]}
    write_unfinished(line.root, [])
    assert read_unfinished(line.root) == {} == read_unfinished(line.build)


def test_a_record_that_was_changed_is_left_alone_and_out(tmp_path):
    folders = Folders.of(write_line(tmp_path / "tiny"))
    path = folders.record("arm-s1")
    changed = path.read_text().replace('"n_parameters":10', '"n_parameters":11')
    path.write_text(changed)
    output = tmp_path / "elsewhere"
    assert collect_complete(folders, Plan.read(folders.root), ["arm"], output, False) == 1
    assert path.read_text() == changed and folders.index("arm").is_file()
    assert read_table(output, RUNS).is_empty() and set(read_unfinished(output)) == {"arm"}
