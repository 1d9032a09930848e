"""scikit-learn's digits: 1,797 real handwritten digits of 8 x 8 pixels that come with the package.

E. Alpaydin, C. Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998
(the part that is called its test set).
"""

from __future__ import annotations

import gzip
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from distreal_sim.data.datasets import Data, Dataset, Examples
from distreal_sim.data.datasets._stats import mean_std


class Digits(Dataset):
    """8 x 8 digits, values 0 .. 16, 10 classes, 1,437 training and 360 test examples; needs no files.

    The split is fixed: sorted by class (file order within one), every fifth example is for testing.
    """

    def load(self) -> Data:
        """x: (N, 1, 8, 8) uint8 in 0 .. 16."""
        x, y = _read()
        test = np.zeros(len(y), dtype=bool)
        test[np.argsort(y, kind="stable")[::5]] = True
        mean, std = mean_std(x[~test])
        return Data(
            train=Examples(x[~test], y[~test]),
            test=Examples(x[test], y[test]),
            n_outputs=10,
            mean=mean,
            std=std,
        )


@cache
def _read() -> tuple[np.ndarray, np.ndarray]:
    """Images and classes from scikit-learn's file, without importing it, which takes longer than torch."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    with gzip.open(Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, np.int64, delimiter=",")
    return rows[:, :-1].astype(np.uint8).reshape(-1, 1, 8, 8), rows[:, -1].copy()
