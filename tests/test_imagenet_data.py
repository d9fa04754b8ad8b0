"""Batches of images in memory: resumable, augmented as a slow loop does it, shared between processes."""

import numpy as np
import pytest
import torch
from facts import mistake
from hypothesis import given, settings
from hypothesis import strategies as st

from normbench.config.tasks import read_task
from tasks.imagenet import data
from tasks.images.augments import IN_MEMORY
from tasks.images.batches import Batches, Images, InOrder, Order, draw, padding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for dataset in data.EMBEDDED:
        data.make(dataset, root / dataset)
    return root


def drawn_at_random(samples=23, pixels=8, channels=3) -> Images:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (samples, channels, pixels, pixels), dtype=np.uint8))
    return Images(x, torch.arange(samples), (0.3, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels])


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(0, 30),
    batch_size=st.integers(1, 30),
    seed=st.integers(0, 2**31),
    augment=st.sampled_from(IN_MEMORY),
    drop_last=st.booleans(),
)
def test_resumed_batches_are_those_of_an_uninterrupted_run(start, batch_size, seed, augment, drop_last):
    images, options = drawn_at_random(pixels=4), {"batch_size": batch_size, "seed": seed, "augment": augment, "drop_last": drop_last}
    whole, resumed = iter(Batches(images, **options)), iter(Batches(images, start_step=start, **options))
    for _ in range(start):
        next(whole)
    for _ in range(4):
        (x, y), (x_again, y_again) = next(whole), next(resumed)
        assert torch.equal(x, x_again) and torch.equal(y, y_again)


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "sizes"), [(5, True, [5] * 4), (5, False, [5] * 4 + [3]), (23, True, [23]), (64, True, [23])]
)
def test_an_epoch_is_a_permutation(batch_size, drop_last, sizes):
    batches = Batches(drawn_at_random(), batch_size, seed=1, drop_last=drop_last)
    assert batches.steps_per_epoch == len(sizes)
    epochs = [[batches.at(epoch * len(sizes) + step)[1] for step in range(len(sizes))] for epoch in range(3)]
    for epoch in epochs:
        assert [len(y) for y in epoch] == sizes
        assert len(set(torch.cat(epoch).tolist())) == sum(sizes)
    assert len({tuple(torch.cat(epoch).tolist()) for epoch in epochs}) == 3
    assert not torch.equal(Batches(drawn_at_random(), batch_size, seed=2).at(0)[1], epochs[0][0])


@pytest.mark.parametrize("augment", IN_MEMORY)
@pytest.mark.parametrize("pixels", [8, 32])
def test_augmented_batch_equals_a_slow_loop(augment, pixels):
    images = drawn_at_random(pixels=pixels)
    pad, step = padding(pixels), 7
    assert pad == {8: 1, 32: 4}[pixels]
    x, y = Batches(images, 6, seed=3, augment=augment).at(step)
    assert x.dtype == torch.float32 and y.dtype == torch.int64
    for place, number in enumerate(y.tolist()):
        down, across, flipped = (values[place] for values in draw(3, step, 6, pad))
        image = images.pixels[number].numpy()
        if "crop" in augment:
            image = np.pad(image, [(0, 0), (pad, pad), (pad, pad)])[:, down : down + pixels, across : across + pixels]
        if "flip" in augment and flipped:
            image = image[:, :, ::-1]
        slow = (image / 255 - np.array(images.mean)[:, None, None]) / np.array(images.std)[:, None, None]
        np.testing.assert_allclose(x[place].numpy(), slow, atol=1e-5)


def test_augmentation_draws_every_offset_and_half_the_flips():
    down, across, flipped = (np.concatenate(v) for v in zip(*(draw(0, step, 64, 4) for step in range(100)), strict=True))
    for offsets in (down, across):
        counts = np.bincount(offsets)
        assert len(counts) == 9 and np.abs(counts / len(offsets) - 1 / 9).max() < 0.02
    assert abs(flipped.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(down, across)[0, 1]) < 0.05 and abs(np.corrcoef(down, flipped)[0, 1]) < 0.05


def test_augmentation_leaves_the_images_as_they_are():
    images = drawn_at_random()
    before = images.pixels.clone()
    for augment in IN_MEMORY:
        Batches(images, 8, seed=0, augment=augment).at(0)
    assert torch.equal(images.pixels, before)


@pytest.mark.parametrize("augment", IN_MEMORY)
def test_processes_share_a_batch(augment):
    images, options = drawn_at_random(), {"batch_size": 6, "seed": 0, "augment": augment}
    x, y = Batches(images, **options).at(5)
    shares = [Batches(images, rank=rank, world_size=3, **options).at(5) for rank in range(3)]
    for rank, (x_share, y_share) in enumerate(shares):
        assert torch.equal(x_share, x[rank::3]) and torch.equal(y_share, y[rank::3]) and len(y_share) == 2


def test_batches_leave_torchs_random_numbers_alone():
    state = torch.get_rng_state()
    Batches(drawn_at_random(), 8, seed=0, augment="crop_flip").at(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_sees_each_image_once_and_in_order():
    images = drawn_at_random()
    batches = InOrder(images, 10)
    for _ in range(2):
        assert [len(y) for _, y in batches] == [10, 10, 3]
        assert torch.equal(torch.cat([y for _, y in batches]), images.labels)
    x = torch.cat([x for x, _ in batches])
    torch.testing.assert_close(x[:, 0], (images.pixels[:, 0] / 255 - 0.3) / 0.2)
    shares = [torch.cat([y for _, y in InOrder(images, 10, rank=rank, world_size=2)]) for rank in range(2)]
    assert sorted(torch.cat(shares).tolist()) == list(range(23))


def test_batch_errors():
    with mistake("augment", "'crop_flp'", "'crop_flip'"):
        Batches(drawn_at_random(), 4, 0, augment="crop_flp")
    with mistake("batch_size", "10 samples", "4 processes"):
        Order(100, 10, 0, world_size=4)


def test_the_face(folders):
    folder = folders / "digits"
    batches = data.train_batches("digits", folder, batch_size=64, seed=0, augment="flip", start_step=3)
    x, y = next(iter(batches))
    assert batches.steps_per_epoch == 18 and x.shape == (64, 3, 8, 8)
    assert torch.equal(y, Batches(data.load("digits", folder, "train"), 64, 0).at(3)[1])
    held_out = torch.cat([y for _, y in data.eval_batches("digits", folder, batch_size=256)])
    assert torch.equal(held_out.bincount(), torch.full((10,), 60))
    for name, dataset in read_task("imagenet").datasets.items():
        assert (data.num_classes(name), data.in_shape(name)[1]) == (dataset.classes, dataset.pixels)
        assert (name in data.EMBEDDED) == dataset.embedded
