"""The user's own ImageNet: a folder of class folders, its batches, and what can be wrong with it."""

import hashlib
import itertools
import os
import shutil

import numpy as np
import pytest
import torch
from facts import mistake, names
from PIL import Image

from normbench.core.errors import InputError
from tasks.imagenet import data, foldercheck
from tasks.imagenet.imagefolder import Folder, FolderBatches, FolderInOrder

EXPECTED = foldercheck.EXPECTED
NAMES = ("n01440764", "n01443537", "n01484850")
PIXELS = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three classes of five training and two held-out JPEGs in various sizes and modes."""
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for (split, count), name in itertools.product((("train", 5), ("val", 2)), NAMES):
        (root / split / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 256, (rng.integers(14, 40), rng.integers(14, 40), 3), dtype=np.uint8)
            Image.fromarray(noise).convert(("RGB", "L", "CMYK")[number % 3]).save(root / split / name / f"{name}_{number}.JPEG", "JPEG")
    return root


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy to break, of a dataset that is meant to have three classes."""
    monkeypatch.setitem(data.CLASSES, "imagenet", 3)
    monkeypatch.setattr(foldercheck.data_sha256, "__defaults__", (tmp_path / "cache",))
    shutil.copytree(made, tmp_path / "imagenet")
    return tmp_path / "imagenet"


def batches(made, count, start=0, **options):
    source = FolderBatches(Folder.read(made, "train", PIXELS), 6, seed=4, start_step=start, **{"workers": 0, **options})
    return list(itertools.islice(source, count))


def sentence(folder) -> str:
    with pytest.raises(InputError) as error:
        data.check("imagenet", folder)
    return str(error.value)


# --- imagenet: batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "start"), [(0, 1), (0, 4), (2, 3)])
def test_resume_is_exact_with_any_number_of_workers(made, workers, start):
    whole = batches(made, 6, augment="resized_crop_flip_jitter")
    resumed = batches(made, 6 - start, start, workers=workers, augment="resized_crop_flip_jitter")
    for (x, y), (x_again, y_again) in zip(whole[start:], resumed, strict=True):
        assert torch.equal(x, x_again) and torch.equal(y, y_again)
        assert x.shape == (6, 3, PIXELS, PIXELS) and x.dtype == torch.float32 and y.dtype == torch.int64


def test_two_processes_share_a_batch(made):
    whole = batches(made, 4)
    for rank in range(2):
        for (x, y), (x_share, y_share) in zip(whole, batches(made, 4, rank=rank, world_size=2), strict=True):
            assert torch.equal(x_share, x[rank::2]) and torch.equal(y_share, y[rank::2])


def test_an_image_looks_different_in_each_epoch_and_under_each_seed(made):
    folder = Folder.read(made, "train", PIXELS)

    def first_image(epoch, seed):
        source = FolderBatches(folder, 15, seed, start_step=epoch, workers=0)
        x, _ = next(iter(source))
        return x[source.order.at(epoch)[1].tolist().index(0)]

    looks = [first_image(0, 0), first_image(1, 0), first_image(0, 1)]
    for one, other in itertools.combinations(looks, 2):
        assert not torch.equal(one, other)


def test_an_epoch_has_every_image(made):
    folder = Folder.read(made, "train", PIXELS)
    source = FolderBatches(folder, 6, 0, drop_last=False, workers=0)
    assert source.steps_per_epoch == 3
    labels = torch.cat([y for _, y in itertools.islice(source, 3)])
    assert torch.equal(labels.bincount(), torch.tensor([5, 5, 5]))


def test_augmentation_leaves_torchs_random_numbers_alone(made):
    state = torch.get_rng_state()
    batches(made, 2, augment="resized_crop_flip_jitter")
    assert torch.equal(torch.get_rng_state(), state)


def test_evaluation_resizes_and_cuts_out_the_center_in_order(made):
    folder = Folder.read(made, "test", 56)
    source = FolderInOrder(folder, 4, workers=0)
    for _ in range(2):
        assert [len(y) for _, y in source] == [4, 2]
    assert torch.cat([y for _, y in source]).tolist() == [0, 0, 1, 1, 2, 2]
    path, _ = folder.files[1]
    with Image.open(path) as file:
        image = file.convert("RGB")
    short, edge = min(image.size), 64  # 56 * 256 / 224
    width, height = (edge if side == short else int(edge * side / short) for side in image.size)
    image = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)
    top, left = round((height - 56) / 2), round((width - 56) / 2)
    slow = (image[top : top + 56, left : left + 56] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    x, _ = next(iter(source))
    np.testing.assert_allclose(x[1].numpy(), slow.transpose(2, 0, 1), atol=1e-5)
    shares = [torch.cat([x for x, _ in FolderInOrder(folder, 4, rank, 2, workers=0)]) for rank in range(2)]
    together = torch.cat([x for x, _ in source])
    assert torch.equal(shares[0], together[::2]) and torch.equal(shares[1], together[1::2])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_file_met_in_training_is_named(folder, workers):
    victim = folder / "train" / NAMES[1] / f"{NAMES[1]}_3.JPEG"
    victim.write_bytes(victim.read_bytes()[:-60])
    with mistake(victim, "cannot be read", "replace"):
        batches(folder, 3, workers=workers)


def test_unknown_augmentation(made):
    with mistake("augment", "'crop_flip'", "did you mean 'resized_crop_flip'"):
        batches(made, 1, augment="crop_flip")


def test_the_face(folder, monkeypatch):
    monkeypatch.setitem(data.PIXELS, "imagenet", PIXELS)
    data.check("imagenet", folder)
    x, y = next(iter(data.train_batches("imagenet", folder, batch_size=6, seed=4, augment="resized_crop_flip", start_step=1, workers=0)))
    x_expected, y_expected = batches(folder, 1, 1)[0]
    assert torch.equal(x, x_expected) and torch.equal(y, y_expected)
    assert len(list(data.eval_batches("imagenet", folder, batch_size=3, workers=0))) == 2


# --- imagenet: what is wrong with a folder --------------------------------------------------------------------------


def test_missing_folders(folder, tmp_path):
    names(sentence(tmp_path / "nowhere"), tmp_path / "nowhere", "missing", EXPECTED, "data=FOLDER", "FOLDER/imagenet")
    (tmp_path / "void").mkdir()
    names(sentence(tmp_path / "void"), tmp_path / "void", "empty", EXPECTED, "data=FOLDER", "FOLDER/imagenet")
    shutil.rmtree(folder / "val")
    names(sentence(folder), folder / "val", "missing", EXPECTED)
    names(EXPECTED, "train/<class>/*.JPEG", "val/<class>/*.JPEG", "1000")


def test_too_few_classes(folder):
    for name in NAMES[1:]:
        shutil.rmtree(folder / "val" / name)
    names(sentence(folder), folder / "val", "one class", NAMES[0], "two", EXPECTED)
    shutil.rmtree(folder / "val" / NAMES[0])
    names(sentence(folder), folder / "val", "no class", "two", EXPECTED)


@pytest.mark.parametrize(("here", "there"), [("train", "val"), ("val", "train")])
def test_classes_that_differ(folder, here, there):
    (folder / there / NAMES[2]).rename(folder / there / NAMES[1] / "aside")
    names(sentence(folder), NAMES[2], f"in {folder}/{here}", f"not in {folder}/{there}", "1 ", EXPECTED)


def test_another_number_of_classes(folder, monkeypatch):
    monkeypatch.setitem(data.CLASSES, "imagenet", 1000)
    names(sentence(folder), folder / "train", "3 class", "1000", EXPECTED)


def test_a_class_without_images(folder):
    for path in (folder / "val" / NAMES[1]).iterdir():
        path.rename(path.with_suffix(".txt"))
    names(sentence(folder), folder / "val" / NAMES[1], "no image", EXPECTED)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff\xd8\xff\xe0\x00\x10JF"])
def test_files_that_are_no_images(folder, content):
    for path in (folder / "train" / NAMES[2]).iterdir():
        path.write_bytes(content)
    names(sentence(folder), f"{folder}/train/{NAMES[2]}/{NAMES[2]}_", ".JPEG", "truncated", "replace")


def test_hash_is_of_paths_and_sizes_and_is_kept_outside(folder, made, tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    first = data.data_sha256("imagenet", folder)
    listed = "".join(
        f"{path.relative_to(made).as_posix()} {path.stat().st_size}\n"
        for path in sorted(made.rglob("*.JPEG"), key=lambda p: p.relative_to(made).as_posix())
    )
    assert first == hashlib.sha256(listed.encode()).hexdigest()
    assert foldercheck.data_sha256(made, tmp_path / "other") == first
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    with monkeypatch.context() as patch:
        patch.setattr(foldercheck, "_images", lambda _: pytest.fail("listed again"))
        assert data.data_sha256("imagenet", folder) == first
    (folder / "val" / NAMES[0] / "more.JPEG").write_bytes(b"x")
    os.utime(folder / "val" / NAMES[0], ns=(1, 1))  # whatever the clock's resolution, another time than before
    assert data.data_sha256("imagenet", folder) != first


def test_a_broken_cache_is_written_anew(folder, tmp_path):
    first = data.data_sha256("imagenet", folder)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_text("{")
    assert data.data_sha256("imagenet", folder) == first
    assert first in kept.read_text()
