"""The embedded datasets of images: the published pictures byte for byte, fair splits, and what is said of damaged files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from facts import mistake
from PIL import Image

from normbench.config.tasks import read_task
from normbench.core.schema import ROOT
from normbench.execution.manifest import read_manifest
from tasks.imagenet import data
from tasks.images import embedded, render

pytestmark = pytest.mark.slow

# Every published number on the digits hangs on these pictures: a change of them must be meant.
DATA_SHA256 = {
    "digits": "a64b42fa0557ab7297f84ce8447da53871185a7fa085006bc5b273cfd46b6286",
    "digits32": "744c0b631f7ee8d6ae81c14bc94b924fa4667e4af61c93cde1252042e16411ee",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for dataset in data.EMBEDDED:
        data.make(dataset, root / dataset)
    return root


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of digits to break, as links that are replaced when written to."""
    folder = tmp_path / "digits"
    for path in (folders / "digits").rglob("*.*"):
        target = folder / path.relative_to(folders / "digits")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(path)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", data.EMBEDDED)
def test_made_twice_is_the_same_byte_for_byte(dataset, folders, tmp_path):
    data.make(dataset, tmp_path / "again" / "elsewhere")
    assert contents(tmp_path / "again" / "elsewhere") == contents(folders / dataset)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["elsewhere"]


@pytest.mark.parametrize("dataset", data.EMBEDDED)
def test_pictures_are_the_published_ones(dataset, folders):
    assert data.data_sha256(dataset, folders / dataset) == DATA_SHA256[dataset]


def test_data_sha256_covers_every_pixel(monkeypatch, tmp_path):
    image = np.zeros((8, 8), np.uint8)
    monkeypatch.setattr(embedded, "_pictures", lambda _: [(split, 0, f"{split}/0/0000.png", image) for split in ("train", "test")])
    before = data.make("digits", tmp_path / "a")["data_sha256"]
    image[7, 7] = 1
    assert data.make("digits", tmp_path / "b")["data_sha256"] != before


@pytest.mark.parametrize("dataset", data.EMBEDDED)
def test_split_is_stratified_disjoint_and_as_announced(dataset, folders):
    manifest = json.loads((folders / dataset / "manifest.json").read_text())
    digits = {split: {Path(name).stem.split("_")[0] for name in manifest["files"] if name.startswith(split)} for split in ("train", "test")}
    assert not digits["train"] & digits["test"]
    assert (len(digits["train"]), len(digits["test"])) == (1197, 600)
    renderings = embedded.RENDERINGS[dataset]
    assert manifest["counts"]["test"] == [60 * renderings["test"]] * 10
    assert 110 <= min(manifest["counts"]["train"]) / renderings["train"] <= max(manifest["counts"]["train"]) / renderings["train"] <= 125
    assert read_task("imagenet").datasets[dataset].train == sum(manifest["counts"]["train"])


def test_no_picture_of_test_is_in_train(folders):
    for dataset in data.EMBEDDED:
        train, test = (data.load(dataset, folders / dataset, split).pixels for split in ("train", "test"))
        assert not {x.numpy().tobytes() for x in train} & {x.numpy().tobytes() for x in test}


def test_clutter_comes_from_digits_of_the_same_split(monkeypatch):
    seen = set()
    monkeypatch.setattr(embedded, "render", lambda digits, index, rng: seen.add(digits.tobytes()) or np.zeros((32, 32, 3), np.uint8))
    assert len(list(embedded._pictures("digits32"))) == 1197 * 3 + 600 * 2
    pools = [{pool[i : i + 64] for i in range(0, len(pool), 64)} for pool in seen]
    assert sorted(len(pool) for pool in pools) == [600, 1197]
    assert not pools[0] & pools[1]


def test_digits_are_those_of_scikit_learn(folders):
    from sklearn.datasets import load_digits

    source, images = load_digits(), data.load("digits", folders / "digits", "test")
    listed = [Path(name) for name in read_manifest("digits", folders / "digits")["files"] if name.startswith("test")]
    for place, path in enumerate(listed):
        number = int(path.stem)
        assert images.labels[place] == source.target[number]
        assert np.array_equal(images.pixels[place, 0].numpy(), np.floor(source.images[number] * 255 / 16 + 0.5))
    assert Image.open(folders / "digits" / listed[0]).mode == "L"
    assert torch.equal(images.pixels[:, 0], images.pixels[:, 1]) and torch.equal(images.pixels[:, 0], images.pixels[:, 2])


def test_renderings_of_one_digit_differ_and_show_it():
    digits = np.zeros((3, 8, 8), np.uint8)
    digits[0, 1:7, 3:5] = 255  # a bar, and no clutter from the others
    pictures = [render.render(digits, 0, np.random.default_rng([0, n])).astype(int) for n in range(8)]
    assert len({p.tobytes() for p in pictures}) == 8
    for picture in pictures:
        bright = picture.sum(axis=2) > np.median(picture.sum(axis=2)) + 3 * render.CONTRAST[0] // 2
        rows, columns = bright.any(axis=1).nonzero()[0], bright.any(axis=0).nonzero()[0]
        assert 8 <= np.ptp(rows) + 1 <= 24 and 40 <= bright.sum() <= 180  # 6 of 8 rows and 2 of 8 columns, 2 to 2.75 times
        assert np.ptp(columns) < 32


@pytest.mark.parametrize("dataset", data.EMBEDDED)
def test_manifest_has_mean_and_std_of_the_training_images(dataset, folders):
    images = data.load(dataset, folders / dataset, "train")
    x = images.pixels.double() / 255
    torch.testing.assert_close(torch.tensor(images.mean, dtype=torch.float64), x.mean((0, 2, 3)), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.tensor(images.std, dtype=torch.float64), x.std((0, 2, 3), correction=0), atol=1e-6, rtol=0)
    assert images.pixels.shape[1:] == data.in_shape(dataset) and images.labels.max() + 1 == data.num_classes(dataset)
    assert data.load(dataset, folders / dataset, "train") is images


def test_the_picture_in_the_readme_shows_these_digits(folders):
    shown, now = (
        np.asarray(image.convert("RGB"), dtype=float)
        for image in (
            Image.open(ROOT / "tasks" / "imagenet" / "digits32.png"),
            embedded.contact_sheet("digits32", folders / "digits32"),
        )
    )
    assert shown.shape == (4 * 64, 10 * 64, 3)
    assert np.abs(shown - now).mean() < 4  # versions of Pillow may choose the 128 colors differently


def test_nothing_is_left_of_a_making_that_failed(monkeypatch, tmp_path):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(embedded, "render", full)
    with pytest.raises(OSError, match="no space left"):
        data.make("digits32", tmp_path / "digits32")
    assert not list(tmp_path.iterdir())


def test_another_process_that_was_faster_is_fine(folders, monkeypatch, tmp_path):
    write = embedded._write

    def slowly(dataset, folder):
        shutil.copytree(folders / "digits", tmp_path / "digits")
        return write(dataset, folder)

    monkeypatch.setattr(embedded, "_write", slowly)
    assert data.make("digits", tmp_path / "digits")["data_sha256"] == DATA_SHA256["digits"]
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_damaged_embedded_files_are_named(copy):
    victim = copy / "train" / "3" / sorted(path.name for path in (copy / "train" / "3").iterdir())[5]
    content = victim.read_bytes()
    again = (f"delete {copy}", "snakemake all")
    replace(victim, content[:40])
    for attempt in (data.check, data.make, lambda *a: data.load(*a, "train")):
        with mistake(victim, "damaged", "SHA-256", "manifest.json", *again):
            attempt("digits", copy)
    victim.unlink()
    with mistake(victim, "missing", *again):
        data.check("digits", copy)
    victim.write_bytes(content)
    data.check("digits", copy)
    (stray := copy / "test" / "3" / "mine.png").write_bytes(content)
    with mistake(stray, "'digits'", "manifest.json", *again):
        data.check("digits", copy)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"dataset": "digits"}', b'{"dataset": "digits32", "data_sha256": "0", "files": {"a": ""}}']
)
def test_broken_manifest(copy, content):
    replace(copy / "manifest.json", content)
    with mistake(copy / "manifest.json", "'digits'", f"delete {copy}"):
        data.check("digits", copy)


def test_missing_manifest_empty_folder_and_unknown_names(copy, tmp_path):
    (copy / "manifest.json").unlink()
    with mistake(copy, "manifest.json", "missing", "'digits'", "delete"):
        data.make("digits", copy)
    with mistake(tmp_path / "none", "missing", "snakemake all"):
        data.check("digits32", tmp_path / "none")
    (tmp_path / "void").mkdir()
    with mistake(tmp_path / "void", "empty"):
        data.check("digits", tmp_path / "void")
    with mistake("data", "'digit'", "imagenet", "'digits'"):
        data.check("digit", copy)
    with mistake("'cifar10'", "embedded"):
        data.make("cifar10", tmp_path / "c")
    with mistake("data", "digits", "'val'", "split"):
        data.load("digits", copy, "val")
