"""Loads a data set and checks what `Data` promises, so that no client fails on it later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.data.datasets import IGNORED, Data, Dataset, Examples

_CHUNK = 4096


def load_checked(dataset: Dataset) -> Data:
    """The loaded data set, checked, with `pad` replaced by `IGNORED`.

    Raises InputError, in one line, if it fails or returns something else.

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
    for key in ("n_outputs", "vocabulary"):
        _check_size(name, key, getattr(data, key), may_lack=key == "vocabulary")
    for split in ("train", "test"):
        _check_split(f"{name}, {split}", getattr(data, split), data)
    if data.test.y.shape[1:] != data.train.y.shape[1:] or data.test.y.dtype != data.train.y.dtype:
        raise InputError(
            f"{name}: y is {_what(data.train.y)} for training, and {_what(data.test.y)} for tests"
        )
    if data.test.x.shape[1:] != data.train.x.shape[1:]:
        shapes = (" x ".join(map(str, e.x.shape[1:])) for e in (data.test, data.train))
        raise InputError("{}: the test examples are {}, the training examples {}".format(name, *shapes))
    if (data.mean is None) != (data.std is None):
        raise InputError(f"{name}: give both of mean and std, or neither")
    if data.mean is not None and data.vocabulary is not None:
        raise InputError(f"{name}: tokens are not normalised: leave out mean and std, or vocabulary")
    for key in ("mean", "std") if data.mean is not None else ():
        _check_statistics(f"{name}: {key}", getattr(data, key), data.train.x.shape[1], key == "std")
    _check_writers(name, "writers", data.writers, len(data.train))
    _check_writers(name, "test_writers", data.test_writers, len(data.test))
    if data.pad is None:
        return data
    train, test = (Examples(e.x, np.where(e.y == data.pad, IGNORED, e.y)) for e in (data.train, data.test))
    return replace(data, train=train, test=test, pad=None)


def _what(value: Any) -> str:
    """A value in words: its type, and what tells it from others of that type."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else f"{kind}"


def _check_size(name: str, key: str, size: Any, may_lack: bool) -> None:
    if size is None and may_lack:
        return
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"{name}: {key} must be a whole number of at least 1, not {size!r}")


def _check_split(where: str, examples: Any, data: Data) -> None:
    if not isinstance(examples, Examples):
        raise InputError(f"{where} must be a distreal_sim.data.datasets.Examples, not {_what(examples)}")
    x, y = examples.x, examples.y
    for key, array in (("x", x), ("y", y)):
        if not isinstance(array, np.ndarray):
            raise InputError(f"{where}: {key} must be a numpy array, not {_what(array)}{_as_numpy(array)}")
    if x.dtype.kind not in "uifb" or not x.dtype.isnative or x.ndim < 2:
        raise InputError(f"{where}: x must be (N, C, H, W) of uint8 or float32, not {_what(x)}")
    if data.vocabulary is not None:
        if x.dtype != np.int64 or x.ndim != 2:
            raise InputError(f"{where}: x must be (N, L) of int64, as vocabulary is given, not {_what(x)}")
        _check_range(f"{where}: x", x, data.vocabulary, "vocabulary")
    if len(x) != len(y) or not len(y):
        raise InputError(
            f"{where}: x has {len(x)} examples and y {len(y)} labels; expected as many of both, at least 1"
        )
    if x.dtype.kind == "f":
        _check_finite(f"{where}: x", x)
    _check_targets(where, y, data.n_outputs)


def _check_targets(where: str, y: np.ndarray, n_outputs: int) -> None:
    """What is right for one of `Targets`."""
    kinds = {(1, "int64"), (2, "int64"), (2, "float32"), (2, "uint8")}
    if (y.ndim, y.dtype.name) not in kinds or not y.dtype.isnative:
        advice = "; y.astype(numpy.int64) makes it so" if y.dtype.kind in "iu" and y.ndim == 1 else ""
        raise InputError(
            f"{where}: y must be (N,) of int64 for classes, (N, L) of int64 for tokens, (N, n_outputs) of "
            f"float32 for values, or of uint8 for labels that apply or not; not {_what(y)}{advice}"
        )
    if y.dtype == np.int64:
        _check_range(f"{where}: y", y, n_outputs, "n_outputs", IGNORED if y.ndim == 2 else None)
        return
    if y.shape[1] != n_outputs:
        raise InputError(f"{where}: y has {y.shape[1]} columns, and n_outputs is {n_outputs}")
    if y.dtype == np.uint8:
        _check_range(f"{where}: y", y, 2, "a label applies, 1, or not, 0: the limit")
    else:
        _check_finite(f"{where}: y", y)


def _check_range(what: str, values: np.ndarray, n: int, limit: str, but: int | None = None) -> None:
    """Raises InputError unless all values are 0 .. n - 1, or `but`."""
    wrong = (values < 0) | (values >= n)
    if but is not None:
        wrong &= values != but
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        place = "" if len(at) == 1 else f" at {at[1]}"
        ignored = "" if but is None else f", or {but} where it is ignored"
        raise InputError(
            f"{what} of example {at[0]} is {values[at]}{place}, outside 0 .. {n - 1}{ignored} ({limit} "
            f"is {n}; they are {values.min()} .. {values.max()})"
        )


def _as_numpy(array: Any) -> str:
    return "; its .numpy() is one" if hasattr(array, "numpy") else ""


def _check_finite(what: str, x: np.ndarray) -> None:
    # In chunks: the mask of a whole data set would be a quarter of its size.
    for start in range(0, len(x), _CHUNK):
        finite = np.isfinite(x[start : start + _CHUNK])
        if not finite.all():
            at = np.argwhere(~finite)[0]
            value = x[start + at[0]][tuple(at[1:])]
            position = ", ".join(map(str, at[1:]))
            raise InputError(
                f"{what} of example {start + at[0]} is {value} at ({position}); it must be finite"
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


def _check_writers(name: str, key: str, writers: Any, n: int) -> None:
    if writers is None:
        return
    if not isinstance(writers, np.ndarray) or writers.dtype.kind not in "iu" or writers.shape != (n,):
        raise InputError(f"{name}: {key} must be None or ({n},) whole numbers, not {_what(writers)}")
