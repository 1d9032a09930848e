"""Arrays of the user's own: an .npz file, or a folder of .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._classes import writer_numbers
from distreal_sim.data.datasets._held_out import test_rows
from distreal_sim.data.datasets._inputs import as_inputs, as_tokens
from distreal_sim.data.datasets._npz import NamedArrays
from distreal_sim.data.datasets._stats import mean_std
from distreal_sim.data.datasets._targets import Kind, as_targets, token_targets

Pair = tuple[np.ndarray, np.ndarray]


class Arrays(Dataset):
    """Arrays x_train, y_train, x_test, y_test; or x and y, of which test_share is held out at random.

    `writers`, as long as x_train (or x), says who produced an example; writers_test those of x_test.
    Inputs may be tables (n, F), windows (n, C, L), images (n, C, H, W) or, with `tokens`, texts (n, L).
    y holds a class, values (n, K), marks (n, K) of 0 and 1 or, with `tokens`, tokens (n, L). Classes that are
    whole numbers from 0 on stand for themselves; words, and numbers that begin elsewhere, are numbered in
    sorted order. Files of a folder are mapped into memory, not read, where they are uint8 or float32.
    """

    file: ConfigPath | None = Field(None, examples=["windows.npz"], description="an .npz file (numpy.savez)")
    data_dir: ConfigPath | None = Field(None, description="a folder of x_train.npy and so on instead")
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        examples=[0.2],
        description="share of x and y held out for testing; the same for every seed",
    )
    channels: Literal["first", "last", "none"] = Field(
        "first", description="where x has its channels: (n, C, ...), (n, ..., C) or none, as (n, H, W)"
    )
    tokens: bool = Field(False, description="whether x holds token ids (n, L) from 0 on, of a text")
    targets: Kind = Field(
        "auto", description="what y holds; auto: floats are values, columns of 0 and 1 marks, else a class"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.data_dir is None):
            raise ValueError(
                "data set arrays needs either file (an .npz file) or data_dir (a folder of .npy files)"
            )
        return self

    def load(self) -> Data:
        """x as stored, or float32 where it was of another type than uint8 and float32."""
        if self.data_dir is not None and not self.data_dir.exists():
            raise InputError(
                f"there is no data folder {self.data_dir}; write x_train.npy, y_train.npy, x_test.npy and "
                "y_test.npy into it with numpy.save"
            )
        arrays = NamedArrays(self._path)
        xs, ys, writers = self._parts(arrays)
        where = f"{self._path}: y"
        if self.tokens:
            train_x, test_x = (as_tokens(x, f"{self._path}: x") for x in xs)
            vocabulary = 1 + max(int(x.max(initial=0)) for x in (train_x, test_x))
            mean, std = None, None
        else:
            train_x, test_x = (as_inputs(x, self.channels, f"{self._path}: x") for x in xs)
            vocabulary = None
            mean, std = mean_std(train_x)
        if self.tokens and ys[0].ndim == ys[1].ndim == 2 and ys[0].dtype.kind in "iu":
            train_y, test_y, n_outputs = token_targets(ys[0], ys[1], vocabulary or 1, where)
        else:
            train_y, test_y, n_outputs = as_targets(ys[0], ys[1], self.targets, where)
        return Data(
            Examples(train_x, train_y),
            Examples(test_x, test_y),
            n_outputs,
            mean,
            std,
            *writer_numbers(*writers, len(train_y), len(test_y), str(self._path)),
            vocabulary,
        )

    def _parts(self, arrays: NamedArrays) -> tuple[Pair, Pair, tuple[np.ndarray | None, np.ndarray | None]]:
        """(training, test) of x, of y and of the writers."""
        if "x_train" in arrays or self.test_share is None:
            self._check_split(arrays)
            x, y = ((arrays[f"{key}_train"], arrays[f"{key}_test"]) for key in "xy")
            return x, y, (arrays.find("writers"), arrays.find("writers_test"))
        test = test_rows(len(arrays["y"]), self.test_share, str(self._path))
        x, y = ((_rows(arrays, key, ~test), _rows(arrays, key, test)) for key in "xy")
        if "writers" not in arrays:
            return x, y, (None, None)
        return x, y, (_rows(arrays, "writers", ~test), _rows(arrays, "writers", test))

    def _check_split(self, arrays: NamedArrays) -> None:
        """Raises InputError where the arrays and test_share disagree on whether there is a test set."""
        if self.test_share is not None:
            raise InputError(f"{self._path} has x_train and x_test; leave out dataset.test_share")
        if "x_train" not in arrays and "x" in arrays:
            raise InputError(
                f"{self._path} has x and y, and does not say which examples are for testing: set "
                "dataset.test_share, for example to 0.2, or store x_train, y_train, x_test and y_test"
            )

    @property
    def _path(self) -> Path:
        path = self.file or self.data_dir
        assert path is not None, "checked when the config is read"
        return path


def _rows(arrays: NamedArrays, key: str, chosen: np.ndarray) -> np.ndarray:
    array = arrays[key]
    if array.shape[:1] != chosen.shape:
        n = array.shape[0] if array.ndim else "no"
        raise InputError(f"{arrays.path}: {key} has {n} rows and y {len(chosen)}; expected as many of both")
    rows: np.ndarray = array[chosen]
    return rows
