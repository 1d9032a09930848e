"""What a data set of the user's own gives is checked when it is loaded, in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import Data, Dataset, Examples
from distreal_sim.data.loaded import load_checked

X = np.arange(6 * 2 * 3 * 3, dtype=np.float32).reshape(6, 2, 3, 3)
Y = np.array([0, 1, 2, 0, 1, 2])
GOOD = Data(Examples(X, Y), Examples(X[:3], Y[:3]), 3, np.zeros(2, np.float32), np.ones(2, np.float32))


class Given(Dataset):
    """Loads what it is given, or calls it."""

    value: Any

    def load(self) -> Data:
        return self.value() if callable(self.value) else self.value


TOKENS = np.arange(12).reshape(6, 2) % 4
TEXT = Data(Examples(TOKENS, TOKENS), Examples(TOKENS[:3], TOKENS[:3]), 4, vocabulary=4)
VALUES = Examples(X[:, :, 0, 0], X[:, :2, 1, 1] / 3)
TABLE = Data(VALUES, VALUES.at(np.arange(2)), 2)
MARKS = Examples(X, np.eye(6, dtype=np.uint8)[:, :4])
SEVERAL = Data(MARKS, MARKS, 4)


def with_pixel(value: float) -> Data:
    x = X.copy()
    x[4, 1, 0, 2] = value
    return replace(GOOD, train=Examples(x, Y))


def test_what_is_right_comes_through() -> None:
    assert load_checked(Given(value=GOOD)) is GOOD


def test_four_kinds_of_targets() -> None:
    kinds = [load_checked(Given(value=data)).targets for data in (GOOD, TEXT, TABLE, SEVERAL)]
    assert kinds == ["class", "tokens", "values", "marks"]


def test_pad_is_ignored() -> None:
    """Of 0 1 2 3 0 1 ... the token 3 is the second of every other text."""
    y = load_checked(Given(value=replace(TEXT, pad=3))).train.y
    assert y.tolist() == [[0, 1], [2, -100]] * 3


def test_blank_inputs() -> None:
    """Zeros for numbers; for tokens 0, 1, 2, 3, 0, ... so that an embedding is asked for all of them."""
    assert TEXT.blank(3).tolist() == [[0, 1], [2, 3], [0, 1]]
    assert TABLE.blank(2).dtype == np.float32
    assert not GOOD.blank(1).any()
    assert GOOD.blank(1).shape == (1, 2, 3, 3)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((X, Y), "load() must return a distreal_sim.data.datasets.Data, not a tuple of 2"),
        (None, "load() must return a distreal_sim.data.datasets.Data, not NoneType"),
        (lambda: 1 / 0, "load() raised ZeroDivisionError: division by zero"),
        (with_pixel(float("nan")), "train: x of example 4 is nan at (1, 0, 2)"),
        (with_pixel(float("-inf")), "train: x of example 4 is -inf at (1, 0, 2)"),
        (replace(GOOD, std=np.array([1, 0], np.float32)), "std of channel 1 is 0; it must be finite and > 0"),
        (
            replace(GOOD, mean=np.array([0, np.nan], np.float32)),
            "mean of channel 1 is nan; it must be finite",
        ),
        (replace(GOOD, mean=np.zeros(3, np.float32)), "mean must be an array of float32"),
        (
            replace(GOOD, test=Examples(X, Y.astype(np.int32))),
            "of int64 for classes, (N, L) of int64 for tokens",
        ),
        (replace(GOOD, train=Examples(X, Y + 0.0)), "train: y must be (N,) of int64 for classes"),
        (replace(GOOD, test=Examples(X, Y + 1)), "test: y of example 2 is 3, outside 0 .. 2"),
        (
            replace(GOOD, train=Examples(torch.tensor(X), Y)),
            "train: x must be a numpy array, not torch.Tensor",
        ),
        (
            replace(GOOD, train=Examples(X, torch.tensor(Y))),
            "train: y must be a numpy array, not torch.Tensor",
        ),
        (replace(GOOD, test=(X, Y)), "test must be a distreal_sim.data.datasets.Examples, not a tuple of 2"),
        (replace(GOOD, train=Examples(X[:5], Y)), "x has 5 examples and y 6 labels"),
        (replace(GOOD, test=Examples(X[:0], Y[:0])), "test: x has 0 examples and y 0 labels"),
        (
            replace(GOOD, test=Examples(X[:, :1], Y)),
            "the test examples are 1 x 3 x 3, the training examples 2",
        ),
        (replace(GOOD, n_outputs=True), "n_outputs must be a whole number"),
        (replace(TEXT, vocabulary=3), "train: x of example 1 is 3 at 1, outside 0 .. 2 (vocabulary is 3"),
        (
            replace(TEXT, n_outputs=3),
            "y of example 1 is 3 at 1, outside 0 .. 2, or -100 where it is ignored (n_out",
        ),
        (replace(GOOD, vocabulary=4, mean=None, std=None), "x must be (N, L) of int64, as vocabulary is"),
        (replace(TEXT, mean=np.zeros(2, np.float32)), "give both of mean and std, or neither"),
        (
            replace(TEXT, mean=np.zeros(2, np.float32), std=np.ones(2, np.float32)),
            "tokens are not normalised",
        ),
        (replace(TABLE, n_outputs=3), "train: y has 2 columns, and n_outputs is 3"),
        (replace(TABLE, test=Examples(VALUES.x, VALUES.y * np.nan)), "test: y of example 0 is nan at (0)"),
        (
            replace(TABLE, test=Examples(VALUES.x, MARKS.y[:, :2])),
            "y is an array of float32 with shape (6, 2) for",
        ),
        (replace(SEVERAL, train=Examples(X, MARKS.y * 2)), "y of example 0 is 2 at 0, outside 0 .. 1"),
        (replace(SEVERAL, test_writers=np.zeros(5, int)), "test_writers must be None or (6,)"),
        (replace(GOOD, writers=np.zeros(5, np.int64)), "writers must be None or (6,) whole numbers"),
    ],
)
def test_what_is_wrong_is_named(value: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load_checked(Given(value=value))
    assert says in str(caught.value)
    assert "Given" in str(caught.value)
    assert "\n" not in str(caught.value)
