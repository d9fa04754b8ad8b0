"""scikit-learn's 1,797 handwritten digits, from which the embedded sets of all tasks are made. No torch here.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
doi:10.24432/C50P49, CC BY 4.0.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

SOURCE = "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, doi:10.24432/C50P49, through sklearn.datasets.load_digits"
TEST_PER_CLASS = 60
SEED = 20200612  # of the split: part of the datasets, not a run's choice


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """((1797, 8, 8) uint8, 0 is paper and 255 is ink; (1797,) int labels), in scikit-learn's order.

    The file is read where scikit-learn keeps it, for importing scikit-learn takes longer than making a dataset of it.
    """
    table = np.loadtxt(Path(find_spec("sklearn").origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",", dtype=np.int64)
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    return ((images * 255 + 8) // 16).astype(np.uint8), labels  # 0..16 to 0..255


def split_digits(labels: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers of the digits in each split: 60 a class in test, the others in train, the same ones always."""
    rng = np.random.default_rng(SEED)
    test = [rng.permutation(np.flatnonzero(labels == label))[:TEST_PER_CLASS] for label in range(10)]
    test = np.sort(np.concatenate(test))
    return {"train": np.setdiff1d(np.arange(len(labels)), test), "test": test}
