"""Two processes train what one does: the same losses for the same batches, the same run after a stop, each sample evaluated once."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from patience import PATIENCE
from processes_of_a_training import NETS, held_out, trained
from trainings import BATCH

from normbench.core.schema import ROOT
from normbench.training.classification import evaluate
from normbench.training.distributed import Processes, from_torchrun

pytestmark = pytest.mark.slow

RANKS = 2


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    """What each of two processes, started by torchrun, ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}", "tests/processes_of_a_training.py", str(folder)]
    paths = f"{ROOT}:{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(RANKS)]


def gap(ours: dict, theirs: dict, curve: str) -> float:
    assert [step for step, _ in ours[curve]] == [step for step, _ in theirs[curve]]
    return max(abs(a - b) for (_, a), (_, b) in zip(ours[curve], theirs[curve], strict=True))


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_the_losses_of_two_processes_are_those_of_one(name, ranks):
    _, alone = trained(name)
    assert len(alone.curves["train_loss"]) == 8
    for curve in ("train_loss", "train_top1", "test_loss"):
        assert gap(ranks[0][name]["curves"], alone.curves, curve) < 1e-5, curve


def test_every_process_ends_with_the_same_weights_and_curves(ranks):
    for name, first in ((name, first) for name, first in ranks[0].items() if name != "apart"):
        second = ranks[1][name]
        assert first["curves"] == second["curves"], name
        assert all(torch.equal(v, second["state"][k]) for k, v in first["state"].items()), name


def test_what_is_evaluated_is_the_first_processs_network(ranks):
    """Each process follows running statistics of its own batches; all of them evaluate those that the first one saves."""
    first = ranks[0]["batch_norm"]
    model = NETS["batch_norm"]().double()
    model.load_state_dict(first["state"])
    whole = evaluate(model, held_out())
    for name, value in whole.items():
        assert first["curves"][name][-1] == (8, pytest.approx(value, rel=1e-12)), name


def test_samples_are_those_of_all_processes(ranks):
    for name in ("layer_norm", "accumulated", "resumed"):
        assert [rank[name]["samples"] for rank in ranks] == [8 * BATCH] * RANKS, name


def test_batch_norms_batch_is_that_of_a_process(ranks):
    """Its losses depend on what a device sees at once; in one process as many samples are passed at once, and the sums are the same."""
    assert gap(ranks[0]["batch_norm"]["curves"], trained("batch_norm")[1].curves, "train_loss") > 1e-4


def test_accumulated_gradients_are_those_of_the_whole_batch(ranks):
    model, whole = trained("layer_norm")
    for size in (1, 2, 4):  # 6 samples: the last part of the third is smaller
        parts, found = trained("layer_norm", device_batch_size=size)
        assert gap(found.curves, whole.curves, "train_loss") < 1e-12
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(parts.parameters(), model.parameters(), strict=True))
    assert gap(ranks[0]["accumulated"]["curves"], whole.curves, "train_loss") < 1e-5


def test_the_batch_that_a_device_sees_at_once_is_batch_norms():
    assert gap(trained("batch_norm", device_batch_size=3)[1].curves, trained("batch_norm")[1].curves, "train_loss") > 1e-4


def test_a_notice_to_one_process_stops_all_and_the_run_ends_as_if_there_had_been_none(ranks):
    for rank in ranks:
        assert rank["resumed"]["stopped"] == 1 and rank["resumed"]["stopped_after"] == 4
        assert rank["resumed"]["curves"] == rank["dropout"]["curves"]
        assert all(torch.equal(v, rank["dropout"]["state"][k]) for k, v in rank["resumed"]["state"].items())


def test_processes_that_do_not_read_one_checkpoint_start_nothing(ranks):
    assert all("different checkpoints" in rank["apart"] and "shared folder" in rank["apart"] for rank in ranks)


def test_processes_drop_different_units(ranks):
    assert gap(ranks[0]["dropout"]["curves"], trained("dropout")[1].curves, "train_loss") > 1e-6
    assert ranks[0]["dropout"]["next_draw"] != ranks[1]["dropout"]["next_draw"]


def test_who_a_process_is_says_torchrun_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert from_torchrun() == Processes() and Processes().first
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert from_torchrun() == Processes(5, 8, 1) and not replace(from_torchrun(), rank=1).first


def test_synchronized_batch_norm_is_torchs_and_in_one_process_the_plain_one():
    from normbench import load_method
    from normbench.hooks.sites import Site

    method, site = load_method("batch_norm"), Site(kind="norm", name="norm", features=3, layout="NCHW")
    plain, shared = (method.norm(site, method.Params(sync=sync)) for sync in (False, True))
    assert isinstance(shared, torch.nn.SyncBatchNorm) and not isinstance(plain, torch.nn.SyncBatchNorm)
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(plain(x), shared(x)) and torch.equal(plain.running_var, shared.running_var)
    assert "NLC" in method.refuse(replace(site, layout="NLC"), method.Params(sync=True))
    with pytest.raises(ValueError, match="sync is over whole batches"):
        method.Params(sync=True, ghost_batch_size=2)
