"""CIFAR-10 and CIFAR-100 as the user has them, read by torchvision once their checksums are right.

The files are pickles: torchvision opens them only after their MD5s matched the published ones, and so do we.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from normbench.core.errors import InputError
from tasks.images.batches import Images

# Mean and std per channel of CIFAR-10 as in the code of Norm matters (arXiv:1803.01814), whose std is the mean of the
# images' own. CIFAR-100's are computed from its training set.
CIFAR10_MOMENTS = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"


FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def expected(dataset: str) -> str:
    """What the user has to do."""
    return f"the folder {FOLDERS[dataset]} of {HOME} belongs into it"


def torchvision_class(dataset: str) -> type:
    """torchvision's class, which knows names and MD5s of the files."""
    from torchvision.datasets import CIFAR10, CIFAR100  # seconds to import, so only where CIFAR is asked for

    return {"cifar10": CIFAR10, "cifar100": CIFAR100}[dataset]


def check(dataset: str, folder: Path) -> dict[str, str]:
    """File name -> MD5 of all files; InputError names the first that is missing or not the published one."""
    kind = torchvision_class(dataset)
    within = Path(folder) / kind.base_folder
    found = {}
    for name, md5 in [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]:
        path = within / name
        if not path.is_file():
            raise InputError(f"data: {path} is missing; {expected(dataset)}")
        with path.open("rb") as file:
            found[name] = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found[name] != md5:
            what = f"its MD5 is {found[name]} in place of {md5}"
            raise InputError(f"data: {path} is damaged: {what}; unpack {kind.filename} of {HOME} again")
    return found


def load(dataset: str, folder: Path, split: str) -> Images:
    """The whole split, 50,000 or 10,000 images of (3, 32, 32)."""
    check(dataset, folder)
    train = torchvision_class(dataset)(str(folder), train=True, download=False)
    moments = CIFAR10_MOMENTS if dataset == "cifar10" else _moments(train.data)
    data = train if split == "train" else torchvision_class(dataset)(str(folder), train=False, download=False)
    pixels = torch.from_numpy(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)))
    return Images(pixels, torch.tensor(data.targets, dtype=torch.int64), *moments)


def _moments(pixels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std per channel, of intensities in 0..1; pixels: (N, H, W, 3) uint8."""
    counts = [np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)]
    values = np.arange(256) / 255
    mean = [float(np.average(values, weights=n)) for n in counts]
    std = [float(np.average((values - m) ** 2, weights=n) ** 0.5) for m, n in zip(mean, counts, strict=True)]
    return tuple(mean), tuple(std)


def data_sha256(dataset: str, folder: Path) -> str:
    """Of the names and MD5s of all files."""
    listed = "".join(f"{name} {md5}\n" for name, md5 in sorted(check(dataset, folder).items()))
    return hashlib.sha256(listed.encode()).hexdigest()
