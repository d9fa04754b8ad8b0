"""Clips and sentences in two processes: the losses of one, each held-out sample once, and what the record says of it."""

import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from facts import mistake

from normbench.config.code_hash import code_of_arm
from normbench.config.tasks import load_preparer, owner_of
from normbench.core.files import write_json
from normbench.core.schema import ROOT
from normbench.execution.records import Record, read_record
from normbench.execution.throughput import speed_rows
from normbench.planning.folders import Folders
from normbench.planning.make import make_plan
from normbench.planning.pipeline import write_jobs

pytestmark = pytest.mark.slow

# No method with batch statistics: those are of what a process sees at once.
ARMS = {"kinetics": ("group_norm", {}), "wmt": ("layer_norm", {"update_freq": 2})}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
CLOSE = 2e-4  # of float32, after four steps


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[str, dict[int, Record]]:
    """Task -> processes -> the record of one run."""
    build = tmp_path_factory.mktemp("processes")
    plan, specs = make_plan("tiny"), {}
    for task, (method, fields) in ARMS.items():
        found = next(spec for spec in plan.arms.values() if (spec.task, spec.method) == (task, method))
        specs[task] = replace(found, recipe=found.recipe | fields)
        load_preparer(owner_of(found.dataset))(found.dataset, build / "data")
    for processes, words in ((1, []), (2, TORCHRUN)):
        folders = Folders(build / str(processes), "tiny")
        for spec in specs.values():
            content = {"arm": spec.id, "spec": asdict(spec), "code": code_of_arm(spec), "seeds": [0]}
            write_json(folders.arm(spec.id), content)
        write_jobs(folders, {"both": {spec.id: [0] for spec in specs.values()}})
        command = [
            sys.executable,
            *words,
            "-m",
            "normbench.execution.job",
            "--root",
            folders.root,
            "--data",
            build / "data",
            "--job",
            "both",
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    return {task: {n: read_record(Folders(build / str(n), "tiny").record(f"{spec.id}-s0")) for n in (1, 2)} for task, spec in specs.items()}


@pytest.mark.parametrize("task", ARMS)
def test_the_losses_of_two_processes_are_those_of_one(task, records):
    alone, both = records[task][1], records[task][2]
    assert both.status == alone.status == "finished" and set(both.curves) == set(alone.curves)
    for name, curve in alone.curves.items():
        assert [step for step, _ in both.curves[name]] == [step for step, _ in curve]
        assert [v for _, v in both.curves[name]] == pytest.approx([v for _, v in curve], rel=CLOSE), name


@pytest.mark.parametrize("task, counted, loss", [("kinetics", "test_top1", "test_loss"), ("wmt", "bleu", "test_loss")])
def test_each_held_out_sample_counts_once(task, counted, loss, records):
    """A sample left out, or one that stands in two shares, would move both."""
    alone, both = records[task][1].metrics, records[task][2].metrics
    assert both[counted] == pytest.approx(alone[counted], abs=1e-9)
    assert both[loss] == pytest.approx(alone[loss], rel=1e-5)


@pytest.mark.parametrize("task", ARMS)
def test_the_record_says_how_many_and_how_fast(task, records):
    for size, record in records[task].items():
        assert record.world_size == size and record.samples_per_second > 0
    recipe = records["kinetics"][2].spec["recipe"]
    assert records["kinetics"][2].device_batch_size == recipe["batch_size"] // 2
    alone, both = speed_rows(records[task].values())
    one, two = (records[task][n].samples_per_second for n in (1, 2))
    assert (alone["world_size"], both["world_size"]) == (1, 2)
    assert both["scaling_efficiency"] == pytest.approx(two / one / 2, abs=1e-4) and both["over_world_size"] == 1
    assert alone["scaling_efficiency"] is None


def test_batches_that_processes_cannot_share_evenly_are_refused(tmp_path):
    from tasks.wmt import training

    with mistake("update_freq", "3 batches", "2 processes"):
        training._batches_of_a_process(
            training.Recipe(steps=2, max_tokens=8, update_freq=3, lr=1, warmup=1, dropout=0, evaluations=1, beam=1), 2
        )
