"""Loads a data set and checks what `Data` promises, so that no client fails on it later."""

from __future__ import annotations

from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.data.datasets import Data, Dataset, Examples

_CHUNK = 4096


def load_checked(dataset: Dataset) -> Data:
    """The loaded data set, checked. Raises InputError, in one line, if it fails or returns something else.

    The line names the data set, the split, the key and the value.
    """
    name = f"data set {dataset.name}"
    try:
        data = dataset.load()
    except (InputError, RunError, MemoryError):
        raise
    except Exception as error:  # whatever a reader raises is about the files or its code
        raise InputError(f"{name}: load() raised {type(error).__name__}: {error}") from error
    if not isinstance(data, Data):
        raise InputError(f"{name}: load() must return a distreal_sim.data.datasets.Data, not {_what(data)}")
    if (
        isinstance(data.n_classes, bool)
        or not isinstance(data.n_classes, int | np.integer)
        or data.n_classes < 1
    ):
        raise InputError(f"{name}: n_classes must be a whole number of at least 1, not {data.n_classes!r}")
    for split in ("train", "test"):
        _check_split(f"{name}, {split}", getattr(data, split), data.n_classes)
    if data.test.x.shape[1:] != data.train.x.shape[1:]:
        shapes = (" x ".join(map(str, e.x.shape[1:])) for e in (data.test, data.train))
        raise InputError("{}: the test examples are {}, the training examples {}".format(name, *shapes))
    for key in ("mean", "std"):
        _check_statistics(f"{name}: {key}", getattr(data, key), data.train.x.shape[1], key == "std")
    _check_writers(name, data)
    return data


def _what(value: Any) -> str:
    """A value in words: its type, and what tells it from others of that type."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else f"{kind}"


def _check_split(where: str, examples: Any, n_classes: int) -> None:
    if not isinstance(examples, Examples):
        raise InputError(f"{where} must be a distreal_sim.data.datasets.Examples, not {_what(examples)}")
    x, y = examples.x, examples.y
    for key, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray):
            raise InputError(f"{where}: {key} must be a numpy array, not {_what(array)}{_as_numpy(array)}")
    if x.dtype.kind not in "uifb" or not x.dtype.isnative or x.ndim < 2:
        raise InputError(f"{where}: x must be (N, C, H, W) of uint8 or float32, not {_what(x)}")
    if y.dtype != np.int64 or y.ndim != 1:
        advice = "; y.astype(numpy.int64) makes it so" if y.dtype.kind in "iu" and y.ndim == 1 else ""
        raise InputError(f"{where}: y must be (N,) of int64, not {_what(y)}{advice}")
    if len(x) != len(y) or not len(y):
        raise InputError(
            f"{where}: x has {len(x)} examples and y {len(y)} labels; expected as many of both, at least 1"
        )
    wrong = np.flatnonzero((y < 0) | (y >= n_classes))
    if len(wrong):
        raise InputError(
            f"{where}: y of example {wrong[0]} is {y[wrong[0]]}, outside 0 .. {n_classes - 1} (n_classes is "
            f"{n_classes}; the labels are {y.min()} .. {y.max()})"
        )
    if x.dtype.kind == "f":
        _check_finite(where, x)


def _as_numpy(array: Any) -> str:
    return "; its .numpy() is one" if hasattr(array, "numpy") else ""


def _check_finite(where: str, x: np.ndarray) -> None:
    # In chunks: the mask of a whole data set would be a quarter of its size.
    for start in range(0, len(x), _CHUNK):
        finite = np.isfinite(x[start : start + _CHUNK])
        if not finite.all():
            at = np.argwhere(~finite)[0]
            value = x[start + at[0]][tuple(at[1:])]
            position = ", ".join(map(str, at[1:]))
            raise InputError(
                f"{where}: x of example {start + at[0]} is {value} at ({position}); it must be finite"
            )


def _check_statistics(what: str, values: Any, n_channels: int, positive: bool) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.shape != (n_channels,):
        raise InputError(
            f"{what} must be an array of float32 with shape ({n_channels},), not {_what(values)}"
        )
    wrong = np.flatnonzero(~np.isfinite(values) | (positive & (values <= 0)))
    if len(wrong):
        allowed = "finite and > 0; give a constant channel 1" if positive else "finite"
        raise InputError(f"{what} of channel {wrong[0]} is {values[wrong[0]]:g}; it must be {allowed}")


def _check_writers(name: str, data: Data) -> None:
    writers: Any = data.writers
    if writers is None:
        return
    n = len(data.train)
    if not isinstance(writers, np.ndarray) or writers.dtype.kind not in "iu" or writers.shape != (n,):
        raise InputError(f"{name}: writers must be None or ({n},) whole numbers, not {_what(writers)}")
