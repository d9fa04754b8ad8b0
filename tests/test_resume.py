"""Checkpoints: a run interrupted anywhere ends as the uninterrupted one, to the last bit; what is no checkpoint of it is ignored."""

import hashlib
import io
import os
import pickle
import tempfile
from pathlib import Path

import pytest
import torch
from facts import mistake
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import batch, batches, recipe, small_net, small_resnet, training

from normbench.execution.leftovers import forget_checkpoints
from normbench.training.checkpoint import Checkpoints
from normbench.training.loop import fit

CPU = torch.device("cpu")
STEPS = 8


class Killed(BaseException):
    """What a power cut looks like from inside."""


def calibrated():
    model = small_resnet("rescalenet")
    model.method.calibrate(model, model.sites, model.method_params, [batch(i)[0] for i in range(2)])
    return model


# what a run has that must survive: (its network, its recipe)
KINDS = {
    "momentum and running statistics": (small_net, {"schedule": "cosine", "warmup": 0.2}),
    "dropout, mixup and label smoothing": (lambda: small_net(drop_fc=0.5, drop_conv=0.2), {"mixup": 0.7, "label_smoothing": 0.1}),
    "calibrated offsets": (calibrated, {"schedule": "step", "milestones": (0.4,)}),
    "recorded norms": (small_net, {"norm_control": "record", "norm_every": 3}),
    "emulated float16": (small_net, {"precision": "emulated_float16", "steps": 5}),
    "adam": (small_net, {"optimizer": "adam", "lr": 0.01}),
    "clipping": (lambda: small_net("scaled_weight_standardization"), {"grad_clip": 0.1}),
}


def killed_at(step: int):
    """Batches that end the process with the one of `step`."""

    def source(start):
        for at, found in enumerate(batches(start), start):
            if at == step:
                raise Killed
            yield found

    return source


def noting(began: list[int]):
    """Batches that note where they are asked to begin."""

    def source(start):
        began.append(start)
        return batches(start)

    return source


def everything(model, trained) -> dict:
    state = {f"model.{k}": v for k, v in model.state_dict().items()}
    state |= {f"norms.{k}": torch.from_numpy(v) for k, v in trained.norms.items()}
    return state


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None, database=None)
@given(data=st.data())
def test_a_run_killed_anywhere_ends_as_the_uninterrupted_one(kind, data):
    build, fields = KINDS[kind]
    made = recipe(evaluations=3, **{"steps": STEPS, **fields})
    kill = data.draw(st.integers(1, made.steps - 1), "killed at step")
    again = data.draw(st.integers(kill, made.steps - 1), "and again")
    whole = build()
    expected = fit(training(whole, made))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        for step in sorted({kill, again}):
            with pytest.raises(Killed):
                fit(training(build(), made, path, every=0, batches=killed_at(step)))
            torch.manual_seed(99)  # a new process has drawn something else
        resumed, began = build(), []
        found = fit(training(resumed, made, path, every=0, batches=noting(began)))
    assert began == [again]
    assert found.curves == expected.curves and found.curves["train_loss"][-1][0] == made.steps
    assert (found.status, found.step) == ("finished", made.steps)
    ours, theirs = everything(resumed, found), everything(whole, expected)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_the_optimizers_momentum_is_in_the_checkpoint(tmp_path):
    job = training(small_net(), recipe(), tmp_path / "run.pt", every=0)
    fit(job)
    state = job.checkpoints.load(CPU)
    assert state["step"] == STEPS - 1  # the end needs none
    buffers = [entry["momentum_buffer"] for entry in state["optimizer"]["state"].values()]
    assert len(buffers) == len(list(job.model.parameters())) and all(b.abs().sum() > 0 for b in buffers)


def from_the_beginning(path: Path, identity: str = "this") -> bool:
    """Whether a training goes through all its steps although `path` is there."""
    began = []
    assert fit(training(small_net(), recipe(), path, batches=noting(began), identity=identity)).status == "finished"
    return began == [0]


def saved(path: Path) -> bytes:
    with pytest.raises(Killed):
        fit(training(small_net(), recipe(), path, every=0, batches=killed_at(5)))
    assert not from_the_beginning(path)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_ignored(tmp_path, share):
    path = tmp_path / "run.pt"
    content = saved(path)
    path.write_bytes(content[: int(share * len(content))])
    (tmp_path / "run.pt.before").unlink()
    assert from_the_beginning(path)


def began_at(path: Path) -> int:
    """Where a training with the checkpoints of `path` goes on, which ends with the very weights of an uninterrupted one."""
    whole, resumed, began = small_net(), small_net(), []
    expected, found = fit(training(whole, recipe())), fit(training(resumed, recipe(), path, batches=noting(began)))
    assert found.curves == expected.curves
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in resumed.state_dict().items())
    return began[0]


@settings(max_examples=12, deadline=None, database=None)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_of_a_damaged_checkpoint_the_one_before_is_used(place, change):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        content = bytearray(saved(path))
        assert {p.name for p in path.parent.iterdir()} == {"run.pt", "run.pt.before"}
        content[int(place * len(content))] ^= change
        path.write_bytes(content)
        assert began_at(path) == 4


def test_killed_between_the_two_renames_a_run_goes_on_from_the_one_before(tmp_path):
    saved(tmp_path / "run.pt")
    (tmp_path / "run.pt").unlink()
    assert began_at(tmp_path / "run.pt") == 4


def test_both_go_with_the_end_of_the_run(tmp_path):
    saved(tmp_path / "run.pt")
    Checkpoints(tmp_path / "run.pt", "this", 0).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_spec_is_ignored(tmp_path):
    saved(tmp_path / "run.pt")
    assert from_the_beginning(tmp_path / "run.pt", identity="another")


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "run.pt"
    saved_by_torch = io.BytesIO()
    torch.save({"format": 1, "identity": "this", "rng": Trap()}, saved_by_torch)
    for content in (pickle.dumps(Trap()), saved_by_torch.getvalue()):
        path.write_bytes(hashlib.sha256(content).digest() + content)
        assert from_the_beginning(path)
        assert not (tmp_path / "sprung").exists()
    saved_by_torch.seek(0)
    torch.load(saved_by_torch, weights_only=False)  # the trap is one
    assert (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_old_checkpoint_and_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    content = saved(path)

    def full(dir, prefix):  # a file that the kernel refuses to write to for want of space
        name = Path(dir) / f"{prefix}full"
        name.touch()
        return os.open("/dev/full", os.O_WRONLY), str(name)

    monkeypatch.setattr(tempfile, "mkstemp", full)
    with mistake(path, "disk is full", "free", "again"):
        fit(training(small_net(), recipe(), path, every=0))
    assert path.read_bytes() == content
    assert {p.name for p in tmp_path.iterdir()} == {"run.pt", "run.pt.before"}
    monkeypatch.undo()
    assert not from_the_beginning(path)


def test_checkpoints_are_as_far_apart_as_the_tier_says(tmp_path):
    assert Checkpoints(tmp_path / "run.pt", "this", 0).due()
    assert not Checkpoints(tmp_path / "run.pt", "this", 60).due()


def test_a_run_that_has_its_record_leaves_no_checkpoint_behind_and_those_of_others_stay(tmp_path):
    """Killed between the record and the end, or in the middle of writing, processes leave these."""
    own = ["run-s1.pt", "run-s1.pt.before", ".run-s1.pt.x7_k2"]
    others = ["run-s11.pt", "run-s2.pt", "run-s2.pt.before", ".run-s11.pt.x7_k2"]
    for name in own + others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "run-s1").mkdir()
    forget_checkpoints(tmp_path / "run-s1.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    forget_checkpoints(tmp_path / "run-s1.pt")
