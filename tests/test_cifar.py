"""The user's own CIFAR files: read as they are stored, known by their MD5s, and nothing else unpickled."""

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from facts import mistake

from tasks.imagenet import data
from tasks.images import cifar


@pytest.fixture
def cifar_folder(request, tmp_path, monkeypatch):
    """Files in CIFAR's format with 4 images each, and torchvision told their MD5s."""
    kind, labels = cifar.torchvision_class(request.param), {"cifar10": "labels", "cifar100": "fine_labels"}[request.param]
    within, rng = tmp_path / request.param / kind.base_folder, np.random.default_rng(0)
    within.mkdir(parents=True)

    def write(name, content):
        (within / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((within / name).read_bytes()).hexdigest()

    for which in ("train_list", "test_list"):
        listed = []
        for name, _ in getattr(kind, which):
            pixels = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
            listed.append([name, write(name, {"data": pixels, labels: rng.integers(0, 10, 4).tolist()})])
        monkeypatch.setattr(kind, which, listed)
    meta = write(kind.meta["filename"], {kind.meta["key"]: [str(label) for label in range(data.CLASSES[request.param])]})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": meta})
    return request.param, tmp_path / request.param, within


both = pytest.mark.parametrize("cifar_folder", ["cifar10", "cifar100"], indirect=True)


@both
def test_cifar_is_read_as_it_is_stored(cifar_folder):
    dataset, folder, within = cifar_folder
    data.check(dataset, folder)
    for split, names in (("train", cifar.torchvision_class(dataset).train_list), ("test", cifar.torchvision_class(dataset).test_list)):
        stored = [pickle.loads((within / name).read_bytes()) for name, _ in names]
        images = data.load(dataset, folder, split)
        pixels = np.concatenate([content["data"] for content in stored]).reshape(-1, 3, 32, 32)  # planes of red, green, blue, row by row
        assert np.array_equal(images.pixels.numpy(), pixels)
        assert images.labels.tolist() == [label for content in stored for label in content.get("labels", content.get("fine_labels"))]
        assert images.labels.dtype == torch.int64
        if dataset == "cifar100" and split == "train":
            assert np.allclose(images.mean, (pixels / 255).mean((0, 2, 3))) and np.allclose(images.std, (pixels / 255).std((0, 2, 3)))
    x, y = next(iter(data.train_batches(dataset, folder, batch_size=2, seed=0, augment="crop_flip")))
    assert x.shape == (2, 3, 32, 32) and y.shape == (2,)


@both
def test_cifar_hash_is_of_its_md5s(cifar_folder):
    dataset, folder, within = cifar_folder
    listed = "".join(f"{path.name} {hashlib.md5(path.read_bytes()).hexdigest()}\n" for path in sorted(within.iterdir()))
    assert data.data_sha256(dataset, folder) == hashlib.sha256(listed.encode()).hexdigest()


@both
def test_cifar_errors(cifar_folder, tmp_path):
    dataset, folder, within = cifar_folder
    kind = cifar.torchvision_class(dataset)
    name, md5 = kind.test_list[0]
    content = (within / name).read_bytes()
    (within / name).write_bytes(content + b"\0")
    wrong = hashlib.md5(content + b"\0").hexdigest()
    for attempt in (data.check, data.data_sha256, lambda *a: data.load(*a, "train")):
        with mistake(within / name, "damaged", f"MD5 is {wrong}", md5, kind.filename, cifar.HOME):
            attempt(dataset, folder)
    (within / name).unlink()
    source = (kind.base_folder, cifar.HOME)
    with mistake(within / name, "missing", *source):
        data.check(dataset, folder)
    with mistake(tmp_path / "none", "missing", *source, "--config data=", f"/{dataset}"):
        data.check(dataset, tmp_path / "none")


def test_a_foreign_pickle_is_never_opened(tmp_path):
    """Only files whose MD5 is the published one are unpickled."""

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    within = tmp_path / "cifar10" / cifar.FOLDERS["cifar10"]
    within.mkdir(parents=True)
    kind = cifar.torchvision_class("cifar10")
    for name in [*(name for name, _ in kind.train_list + kind.test_list), kind.meta["filename"]]:
        (within / name).write_bytes(pickle.dumps(Trap()))
    with mistake("data_batch_1", "damaged"):
        data.load("cifar10", tmp_path / "cifar10", "train")
    assert not (tmp_path / "sprung").exists()
