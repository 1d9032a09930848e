"""What stands in y of files of users: classes, values, marks and tokens, in arrays and in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import Data
from distreal_sim.data.datasets.arrays import Arrays
from distreal_sim.data.datasets.table import Table
from distreal_sim.data.loaded import load_checked

X = np.arange(12, dtype=np.float32).reshape(6, 2)


def arrays(folder: Path, y: np.ndarray, x: np.ndarray = X, **options: Any) -> Data:
    """Four training and two test examples."""
    np.savez(folder / "a.npz", x_train=x[:4], y_train=y[:4], x_test=x[4:], y_test=y[4:])
    return load_checked(Arrays(file=folder / "a.npz", **options))


@pytest.mark.parametrize(
    ("y", "options", "targets", "n_outputs", "first"),
    [
        (np.array([0, 1, 2, 0, 1, 2]), {}, "class", 3, 0),
        (np.array([0, 1, 2, 0, 1, 2]), {"targets": "values"}, "values", 1, [0.0]),
        (np.array([0.0, 1, 2, 0, 1, 2]), {"targets": "class"}, "class", 3, 0),
        (np.array([0.5, 1, 2, 0, 1, 2]), {}, "values", 1, [0.5]),
        (np.full((6, 3), 0.25), {}, "values", 3, [0.25] * 3),
        (np.array([[1, 0], [0, 0]] * 3), {}, "marks", 2, [1, 0]),
        (np.array([[True, False]] * 6), {}, "marks", 2, [1, 0]),
        (np.array([[1, 0]] * 6), {"targets": "values"}, "values", 2, [1.0, 0.0]),
    ],
)
def test_what_arrays_hold(
    tmp_path: Path, y: np.ndarray, options: dict, targets: str, n_outputs: int, first: Any
) -> None:
    data = arrays(tmp_path, y, **options)
    assert (data.targets, data.n_outputs) == (targets, n_outputs)
    assert data.train.y[0].tolist() == first


def test_tokens(tmp_path: Path) -> None:
    """Ids 0 .. 11; y has 12 too, and ignores -100: a vocabulary of 12, 13 outputs. Nothing is scaled."""
    x = np.arange(12, dtype=np.uint16).reshape(6, 2)
    y = x.astype(np.int32) + 1
    y[0, 0] = -100
    data = arrays(tmp_path, y, x, tokens=True)
    assert (data.targets, data.vocabulary, data.n_outputs) == ("tokens", 12, 13)
    assert data.train.x.dtype == np.int64
    assert data.train.y.tolist() == [[-100, 2], [3, 4], [5, 6], [7, 8]]
    assert data.mean is None
    classes = arrays(tmp_path, np.array([0, 1] * 3), x, tokens=True)
    assert (classes.targets, classes.vocabulary, classes.n_outputs) == ("class", 12, 2)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.array([[1, 2]] * 6), {}, "mark 1 of example 0 is 2; a label applies, 1, or not, 0"),
        (
            np.array([[1, 2]] * 6),
            {"targets": "class"},
            "one class, not 2; set dataset.targets to marks or values",
        ),
        (np.array([0.5] * 6), {"targets": "class"}, "label 0.5 of example 0 is no whole number"),
        (np.array(["a"] * 6), {"targets": "values"}, "values must be numbers, not <U1"),
        (np.zeros((6, 2, 2)), {}, r"have shapes \(4, 2, 2\)"),
        (np.array([0] * 6), {"tokens": True}, "must hold whole numbers .* the ids of tokens; it is float32"),
    ],
)
def test_mistakes_in_arrays(tmp_path: Path, y: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        arrays(tmp_path, y, **options)


def table(folder: Path, lines: str, **options: Any) -> Data:
    """These training lines; the test lines are 5,30,1,0 and 6,50,0,1."""
    head = "size,price,a,b\n"
    (folder / "train.csv").write_text(head + lines)
    (folder / "test.csv").write_text(head + "5,30,1,0\n6,50.5,0,1\n")
    files = {"file": folder / "train.csv", "test_file": folder / "test.csv"}
    return load_checked(Table(**files, **options))


ROWS = "1,10.5,0,1\n2,30.5,1,1\n"


def test_a_regression_on_a_table(tmp_path: Path) -> None:
    """Prices 10.5 and 30.5: mean 20.5, deviation 10; 30 is 0.95 and 50.5 is 3 in that unit."""
    data = table(tmp_path, ROWS, label="price")
    assert (data.targets, data.n_outputs) == ("values", 1)
    assert data.train.y.tolist() == [[10.5], [30.5]]
    assert data.test.y.tolist() == [[30], [50.5]]
    scaled = table(tmp_path, ROWS, label="price", scale_targets=True)
    assert scaled.train.y.tolist() == [[-1], [1]]
    np.testing.assert_allclose(scaled.test.y, [[0.95], [3]], rtol=1e-7)


def test_several_columns(tmp_path: Path) -> None:
    """a and b are marks; size and price values. The others are features: two each."""
    marks = table(tmp_path, ROWS, label=["a", "b"])
    assert (marks.targets, marks.train.y.tolist(), marks.shape) == ("marks", [[0, 1], [1, 1]], (2,))
    values = table(tmp_path, ROWS, label=["size", "price"])
    assert (values.targets, values.train.y.tolist(), values.shape) == ("values", [[1, 10.5], [2, 30.5]], (2,))


def test_many_whole_numbers_are_in_doubt(tmp_path: Path) -> None:
    """101 different sizes may be classes or values; 100 are classes."""
    lines = "".join(f"{i},1.5,0,0\n" for i in range(101))
    with pytest.raises(InputError, match="has 101 different whole numbers"):
        table(tmp_path, lines, label="size")
    assert table(tmp_path, lines, label="size", targets="values").targets == "values"
    assert table(tmp_path, lines, label="size", targets="class").n_outputs == 101
    assert table(tmp_path, lines.replace("100,1.5", "99,1.5"), label="size").n_outputs == 100


def test_writers_have_the_same_number_in_both_splits(tmp_path: Path) -> None:
    """ann 0, bob 1, eve 2 in sorted order of all names."""
    (tmp_path / "a.csv").write_text("x,y,who\n1,0,bob\n2,1,ann\n")
    (tmp_path / "b.csv").write_text("x,y,who\n1,0,eve\n2,1,bob\n")
    data = load_checked(Table(file=tmp_path / "a.csv", test_file=tmp_path / "b.csv", label="y", writer="who"))
    assert data.writers is not None
    assert data.test_writers is not None
    assert (data.writers.tolist(), data.test_writers.tolist()) == ([1, 0], [2, 1])
