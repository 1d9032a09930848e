"""EMNIST: where its files lie, what the splits hold, advice on other splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.emnist import Emnist
from distreal_sim.data.datasets.mnist import Mnist


def test_the_same_as_mnist_with_the_options_of_emnists_files(writers, tmp_path: Path) -> None:
    writers["emnist"](tmp_path)
    data = Emnist(data_dir=tmp_path, split="letters").load()
    options = {
        "folder": "EMNIST",
        "prefix": "emnist-letters",
        "n_classes": 26,
        "first_label": 1,
        "transpose": True,
    }
    twin = Mnist(
        data_dir=tmp_path, **{k: v for k, v in options.items() if k != "prefix"}, prefix="emnist-letters"
    )
    other = twin.load()
    np.testing.assert_array_equal(data.train.x, other.train.x)
    np.testing.assert_array_equal(data.test.y, other.test.y)


@pytest.mark.parametrize("place", ["gzip", "", "EMNIST", "EMNIST/raw/gzip"])
def test_places(writers, tmp_path: Path, place: str) -> None:
    expected = writers["emnist"](tmp_path / "made")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "made/EMNIST/raw").iterdir():
        path.rename(tmp_path / place / path.name)
    data = Emnist(data_dir=tmp_path, split="letters").load()
    np.testing.assert_array_equal(data.train.x, expected.train_x)


def test_another_split(writers, tmp_path: Path) -> None:
    writers["emnist"](tmp_path)
    with pytest.raises(InputError, match=r"set dataset.split to letters, whose files are there"):
        Emnist(data_dir=tmp_path, split="digits").load()


def test_labels_that_the_split_has_not(writers, tmp_path: Path) -> None:
    """Labels 17 .. 26 of letters are no digits."""
    writers["emnist"](tmp_path)
    for path in (tmp_path / "EMNIST/raw").iterdir():
        path.rename(path.with_name(path.name.replace("letters", "digits")))
    with pytest.raises(InputError, match=r"outside 0 .. 9 \(n_classes is 10\)"):
        Emnist(data_dir=tmp_path, split="digits").load()
