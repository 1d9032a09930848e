"""Any map-style `torch.utils.data.Dataset`, read into memory once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import import_dotted
from distreal_sim.data.datasets import Data, Dataset, Examples
from distreal_sim.data.datasets._held_out import test_rows
from distreal_sim.data.datasets._inputs import as_inputs, as_tokens
from distreal_sim.data.datasets._stats import mean_std
from distreal_sim.data.datasets._targets import Kind, as_targets, token_targets


class TorchDataset(Dataset):
    """What a class or function at a dotted path returns: an object with a length and pairs (x, y).

    x and y are tensors, arrays or numbers, and x may be a PIL image, of which the channels become the first
    axis. Every x has the same shape, and y as well. They are read once, in order; transforms that draw at
    random belong into `local.augment`, where each client and round has its own draws.
    """

    train: str = Field(
        examples=["my_data.Windows"], description="dotted path of a class or function: the training examples"
    )
    options: dict[str, Any] = Field({}, description="what it is called with")
    test: str | None = Field(
        None,
        examples=["my_data.TestWindows"],
        description="dotted path of the test examples'; default: that of train",
    )
    test_options: dict[str, Any] | None = Field(
        None, examples=[{"train": False}], description="what that is called with, beside and before options"
    )
    test_share: float | None = Field(
        None, gt=0, lt=1, examples=[0.2], description="share of the training examples held out instead"
    )
    tokens: bool = Field(False, description="whether x holds token ids (L,) from 0 on, of a text")
    targets: Kind = Field(
        "auto", description="what y holds; auto: floats are values, columns of 0 and 1 marks, else a class"
    )

    @model_validator(mode="after")
    def _one_test_set(self) -> Self:
        of_their_own = self.test is not None or self.test_options is not None
        if of_their_own == (self.test_share is not None):
            raise ValueError(
                "data set torch_dataset needs either test or test_options (test examples of their own) or "
                "test_share (a share of the training examples, for example 0.2)"
            )
        return self

    @property
    def code(self) -> tuple[str, ...]:
        return tuple(path for path in (self.train, self.test) if path is not None)

    def load(self) -> Data:
        """x of uint8 as it is, other numbers as float32."""
        x, y = _read(self.train, self.options)
        if self.test_share is None:
            more = self.test_options or {}
            test_x, test_y = _read(self.test or self.train, {**self.options, **more})
        else:
            held = test_rows(len(y), self.test_share, self.train)
            (x, test_x), (y, test_y) = (x[~held], x[held]), (y[~held], y[held])
        where = f"{self.train}: y"
        if not self.tokens:
            x, test_x = (as_inputs(own, "first", f"{self.train}: x") for own in (x, test_x))
            mean, std = mean_std(x)
            y, test_y, n_outputs = as_targets(y, test_y, self.targets, where)
            return Data(Examples(x, y), Examples(test_x, test_y), n_outputs, mean, std)
        x, test_x = (as_tokens(own, f"{self.train}: x") for own in (x, test_x))
        vocabulary = 1 + max(int(own.max(initial=0)) for own in (x, test_x))
        if y.ndim == 2 and y.dtype.kind in "iu":
            y, test_y, n_outputs = token_targets(y, test_y, vocabulary, where)
        else:
            y, test_y, n_outputs = as_targets(y, test_y, self.targets, where)
        return Data(Examples(x, y), Examples(test_x, test_y), n_outputs, vocabulary=vocabulary)


def _read(path: str, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of all examples. Raises InputError naming the path, and the first example that is wrong."""
    make = import_dotted(path, "data set")
    if not callable(make):
        raise InputError(f"data set '{path}' must be a class or function that returns a torch Dataset")
    try:
        source = make(**options)
        pairs = [source[index] for index in range(len(source))]
    except Exception as error:
        text = " ".join(str(error).split())
        raise InputError(f"data set '{path}' raised {type(error).__name__}: {text}") from error
    if not pairs:
        raise InputError(f"data set '{path}' has no examples")
    columns: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for index, pair in enumerate(pairs):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(
                f"data set '{path}': example {index} must be a pair (x, y), not {type(pair).__name__}"
            )
        for name, column, value in zip("xy", columns, pair, strict=True):
            array = _array(value)
            if array.dtype == object or (column and array.shape != column[0].shape):
                like = f"shape {column[0].shape} of the first one" if column else "numbers"
                raise InputError(
                    f"data set '{path}': {name} of example {index} must have {like}, not {array.shape} of "
                    f"{type(value).__name__}"
                )
            column.append(array)
    return np.stack(columns[0]), np.stack(columns[1])


def _array(value: Any) -> np.ndarray:
    """The array of a tensor, a number or, with its channels first, a PIL image."""
    array: np.ndarray = np.asarray(value)
    if not hasattr(value, "getbands"):  # PIL's images have it; other arrays lie as they should
        return array
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
