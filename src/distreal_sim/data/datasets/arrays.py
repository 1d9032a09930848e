"""Arrays of the user's own: an .npz file, or a folder of .npy files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import ConfigPath, Data, Dataset, Examples
from distreal_sim.data.datasets._classes import codes_of, numbered
from distreal_sim.data.datasets._held_out import test_rows
from distreal_sim.data.datasets._inputs import as_inputs
from distreal_sim.data.datasets._npz import NamedArrays
from distreal_sim.data.datasets._stats import mean_std


class Arrays(Dataset):
    """Arrays x_train, y_train, x_test, y_test; or x and y, of which test_share is held out at random.

    `writers`, as long as x_train (or x), says who produced an example. Inputs may be tables (n, F), windows
    (n, C, L) or images (n, C, H, W), uint8 or floats. Labels that are whole numbers from 0 on stand for
    themselves; words, and numbers that begin elsewhere, are numbered in sorted order. The .npy files of a
    folder are mapped into memory, not read, where their type is uint8 or float32.
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

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.data_dir is None):
            raise ValueError(
                "data set arrays needs either file (an .npz file) or data_dir (a folder of .npy files)"
            )
        return self

    def load(self) -> Data:
        """x as stored, or float32 where it was of another type than uint8 and float32."""
        arrays = NamedArrays(self._path)
        writers = arrays.find("writers")
        if "x_train" in arrays or self.test_share is None:
            self._check_split(arrays)
            xs, ys = ([arrays[f"{key}_{part}"] for part in ("train", "test")] for key in "xy")
        else:
            test = test_rows(len(arrays["y"]), self.test_share, str(self._path))
            xs, ys = ([_rows(arrays, key, chosen) for chosen in (~test, test)] for key in "xy")
            writers = _rows(arrays, "writers", ~test) if writers is not None else None
        train_x, test_x = (
            as_inputs(x, self.channels, f"{self._path}: {key}")
            for x, key in zip(xs, ("x_train", "x_test"), strict=True)
        )
        train_y, test_y, n_classes = numbered(_flat(ys[0]), _flat(ys[1]), f"{self._path}: y")
        if writers is not None and writers.shape != (len(train_y),):
            raise InputError(
                f"{self._path}: writers has shape {writers.shape}, expected ({len(train_y)},), one for each "
                "training example"
            )
        return Data(
            Examples(train_x, train_y),
            Examples(test_x, test_y),
            n_classes,
            *mean_std(train_x),
            writers=None if writers is None else codes_of(writers),
        )

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


def _flat(y: np.ndarray) -> np.ndarray:
    """(n,) of labels that are stored as (n, 1)."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
