"""Batches of clips: the same wherever they come from and wherever a run was interrupted, and what becomes of an unreadable clip."""

import itertools

import numpy as np
import pytest
import torch
from facts import mistake
from hypothesis import given, settings
from hypothesis import strategies as st
from videos import damaged, grays, kinetics, write

from normbench.execution.manifest import read_manifest
from normbench.training.checkpoint import Checkpoints
from tasks.kinetics import data, index, motions
from tasks.kinetics.batches import MEAN, STD, EvaluationBatches, Files, Held, TrainingBatches
from tasks.kinetics.index import Clip, read_index
from tasks.kinetics.recipe import Recipe
from tasks.kinetics.sampling import evaluation_views, training_views

FIELDS = {
    "steps": 1,
    "batch_size": 4,
    "lr": 0.1,
    "frames": 4,
    "stride": 2,
    "rate": 10,
    "short_side": [24, 24],
    "crop": 16,
    "augment": "flip",
}
RECIPE = Recipe(**FIELDS, test_short_side=24, test_crop=16, test_clips=2, test_crops=3)


def never(index, reason):
    raise AssertionError(f"clip {index}: {reason}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return read_index(kinetics(tmp_path_factory.mktemp("kinetics"), {"a": 5, "b": 4}, val=3), 2, None)


def training(copy, seed=0, batch_size=4, failed=never, source=Files, **options) -> TrainingBatches:
    clips = copy.splits["train"].clips
    return TrainingBatches(source(copy.folder, clips), clips, training_views(RECIPE, seed), batch_size, seed, failed=failed, **options)


def held(folder, clips) -> Held:
    return Held(folder, clips, rate=10)


def first(batches: TrainingBatches, count: int, start: int = 0) -> list:
    return list(itertools.islice(batches.starting(start), count))


def equal(a, b) -> bool:
    return len(a) == len(b) and all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b, strict=True))


@settings(max_examples=8)
@given(start=st.integers(0, 9), seed=st.integers(0, 99))
def test_resumed_batches_are_those_of_an_uninterrupted_run(copy, start, seed):
    whole = first(training(copy, seed, workers=0), start + 3)
    assert equal(first(training(copy, seed, workers=0), 3, start), whole[start:])
    assert [len(y) for _, y in whole] == [4] * len(whole)


def test_workers_memory_and_files_give_the_same_batches(copy):
    ours = first(training(copy, workers=0), 4)
    assert equal(first(training(copy, workers=2), 4), ours)
    assert equal(first(training(copy, source=held), 4), ours)
    assert not equal(first(training(copy, seed=1, workers=0), 4), ours)


def test_an_epoch_has_every_clip_once_and_another_time_of_it_the_next(copy):
    batches = training(copy, batch_size=3, workers=0)
    assert batches.steps_per_epoch == 3
    epochs = [[x for x, _ in first(batches, 3, start)] for start in (0, 3)]
    assert torch.cat([y for _, y in first(batches, 3)]).bincount().tolist() == [5, 4]
    assert len(torch.cat(epochs[0])) == 9 and not torch.equal(torch.cat(epochs[0]).sort(0)[0], torch.cat(epochs[1]).sort(0)[0])


def test_pixels_are_normalized_and_frames_lie_behind_the_channels(copy):
    x, y = first(training(copy, workers=0), 1)[0]
    assert x.shape == (4, 3, 4, 16, 16) and x.dtype == torch.float32 and y.dtype == torch.int64
    shown = ((x * STD + MEAN) * 255 - 10) / 9
    steps = shown.mean((1, 3, 4)).diff(dim=1)
    assert ((steps - 2).abs() < 0.3).all()  # two frames apart


def test_evaluation_sees_every_clip_once_and_in_order(copy):
    clips = copy.splits["val"].clips
    batches = EvaluationBatches(Files(copy.folder, clips), clips, evaluation_views(RECIPE), 4, failed=never, workers=0)
    for _ in range(2):
        assert [tuple(x.shape) for x, _ in batches] == [(4, 6, 3, 4, 16, 16), (2, 6, 3, 4, 16, 16)]
    assert torch.cat([y for _, y in batches]).tolist() == [0, 0, 0, 1, 1, 1]
    x, _ = next(iter(batches))
    assert torch.equal(x[:, 0], x[:, 1]) and not torch.equal(x[:, 0], x[:, 3])  # gray frames: places are alike, times are not


def test_processes_see_every_clip_once_between_them(copy):
    clips = copy.splits["val"].clips

    def seen(rank=0, world_size=1):
        options = {"rank": rank, "world_size": world_size, "failed": never, "workers": 0}
        return torch.cat([x for x, _ in EvaluationBatches(Files(copy.folder, clips), clips, evaluation_views(RECIPE), 2, **options)])

    (trained, _), *_ = first(training(copy, workers=0), 1)
    for size in (2, 4):
        for rank in range(size):
            assert torch.equal(seen(rank, size), seen()[rank::size])  # six clips: shares of two and of one where there are four
            (share, _), *_ = first(training(copy, workers=0, rank=rank, world_size=size), 1)
            assert torch.equal(share, trained[rank::size])


def test_batches_leave_torchs_random_numbers_alone(copy):
    state = torch.get_rng_state()
    first(training(copy, workers=0), 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_of_the_embedded_set_memory_gives_what_decoding_gives(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motions, "PER_CLASS", {"train": 1, "val": 1})
        folder = tmp_path / "motions"
        assert data.prepare("motions", folder) == read_manifest("motions", folder)["data_sha256"]
    recipe = RECIPE.model_copy(update={"short_side": (40, 40), "test_short_side": 40})
    source = data.source("motions", folder, "train", recipe)
    assert isinstance(source, Held)
    files = data.source("motions", folder, "train", recipe.model_copy(update={"short_side": (40, 44)}))
    assert isinstance(files, Files)
    for times in ([0.0, 0.1, 1.9], [0.55, 0.75, 1.25], [0.3, 2.5]):
        assert np.array_equal(source(3, np.array(times), 40), files(3, np.array(times), 40))


# Clips that cannot be read


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A copy of which one training clip and one held-out clip are damaged behind a whole header."""
    monkeypatch.setattr(index, "LARGEST_SHARE", 0.3)
    folder = kinetics(tmp_path / "copy", {"a": 5, "b": 4}, val=3)
    for split in ("train", "val"):
        damaged(sorted((folder / split / "a").iterdir())[1])
    return read_index(folder, 2, None)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_clip_that_turns_out_unreadable_is_missing_from_its_batch_told_of_and_not_replaced(broken, workers):
    told = []
    found = first(training(broken, batch_size=3, failed=lambda *what: told.append(what), workers=workers), 3)
    whole = {clip.path for clip in broken.splits["train"].clips}
    assert sorted(len(y) for _, y in found) == [2, 3, 3] and len(whole) == 9
    assert [i for i, _ in told] == [1] and "decoded" in told[0][1]


def test_it_is_counted_listed_and_kept_in_the_checkpoint(broken, tmp_path):
    unread = data.Unread(broken)
    first(training(broken, batch_size=3, failed=lambda *what: unread.failed("train", *what), workers=0), 6)
    path = broken.splits["train"].clips[1].path
    assert unread.metrics()["unreadable_train"] == 1 and unread.notes(RECIPE)["unreadable_train"].startswith(f"{path}: ")
    checkpoints = Checkpoints(tmp_path / "run.pt", "this", 0)
    data.KeepingUnread(checkpoints, unread).save({"step": 3})
    resumed = data.Unread(broken)
    state = data.KeepingUnread(checkpoints, resumed).load(torch.device("cpu"))
    assert state["step"] == 3 and "unread" not in state and resumed.found == unread.found


def test_too_many_of_them_end_the_run_with_one_sentence(broken, monkeypatch):
    monkeypatch.setattr(index, "LARGEST_SHARE", 0.1)
    unread = data.Unread(broken)
    path = broken.splits["train"].clips[1].path
    with mistake(broken.folder / "train", "1 of 9", "10%", path):
        first(training(broken, batch_size=3, failed=lambda *what: unread.failed("train", *what), workers=0), 3)


def test_a_batch_of_which_no_clip_can_be_read_is_an_error(broken):
    with mistake("data", "no clip", "train/a/"):
        first(training(broken, batch_size=1, failed=lambda *_: None, workers=0), 9)


def test_frames_of_other_sizes_stand_in_one_batch(tmp_path):
    for name, (height, width) in {"wide": (24, 48), "tall": (40, 24), "odd": (25, 37)}.items():
        write(tmp_path / f"{name}.mp4", grays(12, height, width), codec="mpeg4")
    clips = [Clip(f"{name}.mp4", 0, 12, 1.1, 0) for name in ("odd", "tall", "wide")]
    batches = EvaluationBatches(Files(tmp_path, clips), clips, evaluation_views(RECIPE), 3, failed=never, workers=0)
    assert next(iter(batches))[0].shape == (3, 6, 3, 4, 16, 16)
