"""Data sets of torch at dotted paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets.torch_dataset import TorchDataset

HERE = __name__


def regression(n: int) -> TensorDataset:
    """x: 0, 1, .. in a row of two; y: their sum."""
    x = torch.arange(2.0 * n).reshape(n, 2)
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def texts(n: int) -> list[tuple[list[int], list[int]]]:
    return [([i, i + 1, i + 2], [i + 1, i + 2, i + 3]) for i in range(n)]


def pictures(mode: str) -> list[tuple[Image.Image, int]]:
    """Two of 3 rows and 5 columns, of the values 7 and 8."""
    return [(Image.new(mode, (5, 3), 7 + i if mode == "L" else (7 + i, 0, 0)), i) for i in range(2)]


def ragged() -> list[tuple[np.ndarray, int]]:
    return [(np.zeros((1, 2)), 0), (np.zeros((1, 3)), 1)]


def no_pairs() -> list[int]:
    return [3, 4]


def broken() -> None:
    raise OSError("no such share")


def load(train: str, **more: Any) -> Any:
    return TorchDataset(train=f"{HERE}.{train}", **more).load()


def test_values_of_which_a_share_is_held_out() -> None:
    """Of 10 rows 2 are for testing; together they are all rows, in their order; 45 = 0 + .. + 9."""
    data = load("regression", options={"n": 10}, test_share=0.2)
    assert (len(data.train), len(data.test), data.targets, data.n_outputs) == (8, 2, "values", 1)
    assert sorted([*data.train.x[:, 0], *data.test.x[:, 0]]) == [2.0 * i for i in range(10)]
    np.testing.assert_array_equal(data.train.y[:, 0], data.train.x.sum(axis=1))


def test_texts() -> None:
    """Tokens 0 .. 5 are read, 1 .. 6 asked for: seven outputs."""
    data = load("texts", options={"n": 4}, test_options={"n": 1}, tokens=True)
    assert (data.targets, data.vocabulary, data.n_outputs, len(data.test)) == ("tokens", 6, 7, 1)
    assert data.train.x[3].tolist() == [3, 4, 5]
    assert data.train.y[3].tolist() == [4, 5, 6]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_images_have_their_channels_first(mode: str, channels: int) -> None:
    data = load("pictures", options={"mode": mode}, test_options={})
    assert (data.train.x.dtype, data.shape) == (np.uint8, (channels, 3, 5))
    assert data.train.x[1, 0].tolist() == [[8] * 5] * 3


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("ragged", r"x of example 1 must have shape \(1, 2\) of the first one, not \(1, 3\) of ndarray"),
        ("no_pairs", r"example 0 must be a pair \(x, y\), not int"),
        ("broken", r"raised OSError: no such share"),
        ("HERE", "must be a class or function"),
        ("brokn", "has no 'brokn'; did you mean 'broken'"),
    ],
)
def test_one_line_says_what_is_wrong(train: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(train, test_share=0.5)


@pytest.mark.parametrize("more", [{}, {"test_share": 0.5, "test": f"{HERE}.regression"}])
def test_there_is_one_test_set(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs either test or test_options"):
        TorchDataset(train=f"{HERE}.regression", **more)


def test_the_source_code_is_part_of_the_config() -> None:
    dataset = {"name": "torch_dataset", "train": f"{HERE}.regression", "test_share": 0.5}
    experiment = toy(dataset=dataset, model="mlp")
    assert any(name.endswith("test_torch_dataset.py") for name in experiment.sources)
