"""The runs of an arm that several jobs share: each trains its own, and the last of them writes the arm's index."""

import json

import pytest
import torch
from records_on_disk import CODE, SPEC, a_record, all_done

from normbench.core.files import write_json
from normbench.execution import job
from normbench.execution.job import Place, train_arm
from normbench.execution.progress import Reporter
from normbench.execution.records import write_record
from normbench.planning.folders import Folders
from normbench.training.distributed import Processes


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """train(seeds) is one job's part of an arm of three seeds; returns the seeds that were trained and not found done."""
    folders = Folders(tmp_path, "tiny")
    write_json(folders.arm("arm"), {"arm": "arm", "spec": SPEC, "code": CODE, "seeds": [0, 1, 2]})
    place = Place(folders, tmp_path, torch.device("cpu"), Processes(), Reporter(folders.root / "progress.json"))
    ran: list[int] = []

    def record_of(place, content, seed):
        ran.append(seed)
        write_record(a_record(seed), folders.record(f"arm-s{seed}"))

    monkeypatch.setattr(job, "train_run", record_of)

    def train(*seeds: int) -> list[int]:
        ran.clear()
        train_arm(place, "arm", list(seeds))
        return list(ran)

    train.folders = folders
    return train


@pytest.mark.parametrize("first, second", [((0, 1), (2,)), ((2,), (0, 1)), ((1,), (0, 2))])
def test_an_arm_has_its_index_when_the_last_of_its_seeds_is_there(trained, first, second):
    assert trained(*first) == list(first)
    assert not trained.folders.index("arm").exists(), "an arm without all of its seeds would be collected as whole"
    assert not all_done(trained.folders, "arm")
    assert trained(*second) == list(second)
    assert all_done(trained.folders, "arm")
    assert sorted(json.loads(trained.folders.index("arm").read_text())["records"]) == ["arm-s0", "arm-s1", "arm-s2"]


def test_a_seed_that_another_job_has_trained_is_not_trained_again(trained):
    trained(0, 1)
    assert trained(1, 2) == [2]


def test_a_record_that_was_lost_is_trained_again_and_the_index_written_for_it(trained):
    trained(0, 1, 2)
    trained.folders.record("arm-s1").unlink()
    assert not all_done(trained.folders, "arm")
    assert trained(0, 1) == [1]
    assert all_done(trained.folders, "arm")
