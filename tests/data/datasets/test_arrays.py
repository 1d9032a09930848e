"""Arrays of the user's own: layouts, labels, the share held out, files that are mapped, advice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.arrays import Arrays
from distreal_sim.data.loaded import load_checked

X = np.arange(40, dtype=np.float64).reshape(10, 4)
"""Row i is 4 i .. 4 i + 3, so that a row tells its number."""
Y = np.arange(10) % 3


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


def parts(folder: Path, **changed: np.ndarray) -> Path:
    """8 training and 2 test rows, with other arrays in the place of those."""
    return saved(folder, **{"x_train": X[:8], "y_train": Y[:8], "x_test": X[8:], "y_test": Y[8:]} | changed)


def test_a_share_is_held_out_with_labels_and_writers_of_the_same_rows(tmp_path: Path) -> None:
    """0.3 of 10 rows: 3 for testing. Row i is 4 i ..., has label i mod 3 and writer i // 2."""
    file = saved(tmp_path, X=X, y=Y, writers=np.arange(10) // 2)
    data = load_checked(Arrays(file=file, test_share=0.3))
    train, test = ((e.x[:, 0] / 4).astype(int) for e in (data.train, data.test))
    assert len(test) == 3
    assert sorted([*train, *test]) == list(range(10))
    assert train.tolist() == sorted(train)
    assert data.train.y.tolist() == (train % 3).tolist()
    assert data.test.y.tolist() == (test % 3).tolist()
    assert data.writers is not None
    assert data.writers.tolist() == np.unique(train // 2, return_inverse=True)[1].tolist()


def test_mean_and_std_are_those_of_each_column_of_the_training_rows(tmp_path: Path) -> None:
    """Rows 0 .. 7: column c is 4 i + c, mean 14 + c; deviation 4 sqrt((8^2 - 1) / 12) = 9.16515."""
    data = load_checked(Arrays(file=parts(tmp_path)))
    np.testing.assert_allclose(data.mean, [14, 15, 16, 17], rtol=1e-7)
    np.testing.assert_allclose(data.std, [9.16515] * 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("channels", "stored", "shape"),
    [("first", (3, 5), (3, 5)), ("last", (5, 3), (3, 5)), ("none", (6, 7), (1, 6, 7))],
)
def test_where_the_channels_are(tmp_path: Path, channels: str, stored: tuple, shape: tuple) -> None:
    """Value [c, l] of an example is that of [l, c] where the channels are last."""
    x = np.arange(10 * np.prod(stored), dtype=np.float32).reshape(10, *stored)
    file = parts(tmp_path, x_train=x[:8], x_test=x[8:])
    data = load_checked(Arrays(file=file, channels=channels))
    assert data.shape == shape
    expected = {"first": x, "last": x.transpose(0, 2, 1), "none": x[:, None]}[channels]
    np.testing.assert_array_equal(data.train.x, expected[:8])
    np.testing.assert_array_equal(data.test.x, expected[8:])


@pytest.mark.parametrize(
    ("labels", "numbers", "n_classes"),
    [
        ([0, 1, 4] * 3 + [0], [0, 1, 4] * 3 + [0], 5),
        ([1, 2, 3] * 3 + [1], [0, 1, 2] * 3 + [0], 3),
        ([-1, 1] * 5, [0, 1] * 5, 2),
        ([True, False] * 5, [1, 0] * 5, 2),
        (["walk", "run"] * 5, [1, 0] * 5, 2),
    ],
)
def test_labels_that_begin_with_0_stand_for_themselves_and_others_are_numbered(
    tmp_path: Path, labels: list, numbers: list, n_classes: int
) -> None:
    y = np.array(labels)
    data = load_checked(Arrays(file=parts(tmp_path, y_train=y[:8], y_test=y[8:, None])))
    assert [*data.train.y, *data.test.y] == numbers
    assert data.n_outputs == n_classes


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"a\.txt cannot be read: it is no \.npz file"):
        load_checked(Arrays(file=tmp_path / "a.txt"))


def test_npy_files_of_a_folder_are_mapped_and_not_read(tmp_path: Path) -> None:
    """The same arrays as from an .npz file; float32 rows stay in their file."""
    x = X.astype(np.float32)
    for name, array in {"x_train": x[:8], "y_train": Y[:8], "x_test": x[8:], "y_test": Y[8:]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    data = load_checked(Arrays(data_dir=tmp_path))
    np.testing.assert_array_equal(data.train.x, x[:8])
    np.testing.assert_array_equal(data.test.y, Y[8:])
    base: object = data.train.x
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"x": X, "y": Y}, {"test_share": 0.2}, "has x_train and x_test; leave out dataset.test_share"),
        ({"x_train": X[:8].astype(object)}, {}, "'x_train' holds Python objects"),
        (
            {"x_train": X[:8, 0]},
            {},
            r"x must hold numbers, in the shape .* it is float64 with shape \(8,\)",
        ),
        (
            {"x_train": np.full((8, 4), 1 << 25)},
            {},
            "whole numbers up to 33,554,432, which float32 cannot hold",
        ),
        (
            {"writers": np.arange(10)},
            {},
            r"writers is int64 of shape \(10,\), expected .* each of 8 examples",
        ),
        ({"X_train": X}, {}, "has both x_train and X_train"),
        ({"y_test": np.array([0, 99_999])}, {}, "the largest label is 99999, for 10 examples"),
        ({"y_test": np.array(["a", "b"])}, {}, "of one kind in both splits, not int64 and <U1"),
    ],
)
def test_mistakes(tmp_path: Path, changed: dict, options: dict, message: str) -> None:
    file = parts(tmp_path, **changed)
    with pytest.raises(InputError, match=message) as caught:
        load_checked(Arrays(file=file, **options))
    assert str(file) in str(caught.value)


def test_advice_on_a_file_without_a_test_set_and_on_misspelt_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set dataset.test_share, for example to 0.2"):
        Arrays(file=saved(tmp_path, x=X, y=Y)).load()
    with pytest.raises(
        InputError, match=r"no array 'x_train'; did you mean 'xtrain'\? \(found: xtrain, y_train"
    ):
        Arrays(file=saved(tmp_path, xtrain=X, y_train=Y, x_test=X, y_test=Y)).load()
    with pytest.raises(InputError, match=r"has 10 examples, of which dataset.test_share .* holds out 0"):
        Arrays(file=saved(tmp_path, x=X, y=Y), test_share=0.01).load()
    with pytest.raises(ValueError, match=r"either file .* or data_dir"):
        Arrays()
