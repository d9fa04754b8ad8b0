"""The datasets of the imagenet task behind one face: make, check, load, train_batches, eval_batches.

    digits, digits32      embedded: make(dataset, folder) writes them (embedded.py)
    cifar10, cifar100     the user's files through torchvision (cifar.py)
    imagenet              the user's folder of class folders (imagefolder.py, foldercheck.py)

Their sizes and classes stand in task.yaml. `folder` is always the dataset's own folder, FOLDER/<dataset> of
--config data=FOLDER. All images have three channels, grey ones three equal channels.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normbench.config.datasets import read_datasets
from normbench.core.errors import InputError, unknown
from normbench.execution import manifest
from tasks.imagenet import foldercheck
from tasks.imagenet.imagefolder import Folder, FolderBatches, FolderInOrder
from tasks.images import cifar, embedded
from tasks.images.augments import FOLDER
from tasks.images.batches import Batches, Images, InOrder
from tasks.images.embedded import make

DATASETS = read_datasets(Path(__file__).with_name("task.yaml"))
EMBEDDED = tuple(name for name, dataset in DATASETS.items() if dataset.embedded)
PIXELS = {name: dataset.pixels for name, dataset in DATASETS.items()}
CLASSES = {name: dataset.classes for name, dataset in DATASETS.items()}
SPLITS = ("train", "test")

__all__ = ["CLASSES", "EMBEDDED", "check", "data_sha256", "eval_batches", "in_shape", "load", "make", "num_classes", "train_batches"]


def in_shape(dataset: str) -> tuple[int, int, int]:
    """(C, H, W) of an image."""
    return (3, PIXELS[_known(dataset)], PIXELS[dataset])


def num_classes(dataset: str) -> int:
    """How many classes there are; 1 / num_classes is what guessing gets right."""
    return CLASSES[_known(dataset)]


def check(dataset: str, folder: Path) -> None:
    """Raises InputError, one sentence, unless `folder` holds `dataset` in a state that can be trained on."""
    folder = _existing(dataset, folder)
    if dataset in EMBEDDED:
        manifest.verify(dataset, folder)
    elif dataset == FOLDER:
        foldercheck.check(folder, CLASSES[dataset])
    else:
        cifar.check(dataset, folder)


def data_sha256(dataset: str, folder: Path) -> str:
    """What identifies the data: embedded, of paths and pixels; CIFAR, of the MD5s; imagenet, of paths and sizes."""
    folder = _existing(dataset, folder)
    if dataset in EMBEDDED:
        return manifest.read_manifest(dataset, folder)["data_sha256"]
    return foldercheck.data_sha256(folder) if dataset == FOLDER else cifar.data_sha256(dataset, folder)


def load(dataset: str, folder: Path, split: str) -> Images | Folder:
    """A split (train or test): all images, decoded once a process, or for imagenet the list of its files."""
    if split not in SPLITS:
        raise unknown(f"data: {dataset}", "split", split, SPLITS)
    return _load(dataset, _existing(dataset, folder).resolve(), split)


def train_batches(dataset: str, folder: Path, **options: Any) -> Batches | FolderBatches:
    """What yields the training batches without end, with the keywords of Batches or, for imagenet, FolderBatches."""
    images = load(dataset, folder, "train")
    return Batches(images, **options) if isinstance(images, Images) else FolderBatches(images, **options)


def eval_batches(dataset: str, folder: Path, **options: Any) -> InOrder | FolderInOrder:
    """What yields the held-out images once, in order, with the keywords of InOrder or, for imagenet, FolderInOrder."""
    images = load(dataset, folder, "test")
    return InOrder(images, **options) if isinstance(images, Images) else FolderInOrder(images, **options)


@cache
def _load(dataset: str, folder: Path, split: str) -> Images | Folder:
    if dataset == FOLDER:
        return Folder.read(folder, split, PIXELS[dataset])
    if dataset not in EMBEDDED:
        return cifar.load(dataset, folder, split)
    says = manifest.read_manifest(dataset, folder)
    files = list(manifest.read_files(says, folder, f"{split}/"))
    pixels = np.stack([embedded.decode(content) for _, content in files]).transpose(0, 3, 1, 2)
    labels = torch.tensor([says["classes"].index(name.split("/")[1]) for name, _ in files])
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), labels, tuple(says["mean"]), tuple(says["std"]))


def _known(dataset: str) -> str:
    if dataset not in CLASSES:
        raise unknown("data", "dataset of the imagenet task", dataset, CLASSES)
    return dataset


def _existing(dataset: str, folder: Path) -> Path:
    """`folder` where there is something in it, else the sentence that says what belongs there."""
    folder, name = Path(folder), _known(dataset)
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    if name in EMBEDDED:
        wanted = "the next `snakemake all` makes it"
    else:
        belongs = foldercheck.EXPECTED if name == FOLDER else cifar.expected(name)
        wanted = f"{belongs}; --config data=FOLDER names another place, FOLDER/{name}"
    raise InputError(f"data: {folder} is {'empty' if folder.is_dir() else 'missing'}; {wanted}")
