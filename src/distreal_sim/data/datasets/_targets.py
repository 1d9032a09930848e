"""What stands in y, from labels as a user's file has them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import IGNORED
from distreal_sim.data.datasets._classes import numbered, whole

Kind = Literal["auto", "class", "values", "marks"]
"""Names of `Targets`; auto: floats are values, columns of 0 and 1 are marks, all else is a class."""


def as_targets(
    train: np.ndarray, test: np.ndarray, kind: Kind, where: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """train, test: (N,) or (N, K) labels -> y of both splits as `Targets` says, and n_outputs.

    Raises InputError for labels that cannot be of this kind, and for splits that differ in columns.
    """
    train, test = (y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for y in (train, test))
    if train.shape[1:] != test.shape[1:] or train.ndim not in (1, 2):
        raise InputError(
            f"{where}: labels are (n,), or (n, K) for K values or marks, the same in both splits; they have "
            f"shapes {train.shape} and {test.shape}"
        )
    if kind == "auto":
        kind = _guessed(train, test)
    if kind == "class":
        if train.ndim == 2:
            raise InputError(
                f"{where}: an example has one class, not {train.shape[1]}; set dataset.targets to marks or "
                "values"
            )
        return numbered(whole(train, where), whole(test, where), where)
    ys = [y[:, None] if y.ndim == 1 else y for y in (train, test)]
    for y in ys:
        if y.dtype.kind not in "buif":
            raise InputError(f"{where}: {kind} must be numbers, not {y.dtype}; set dataset.targets to class")
    if kind == "marks":
        return _marks(ys[0], where), _marks(ys[1], where), ys[0].shape[1]
    return ys[0].astype(np.float32), ys[1].astype(np.float32), ys[0].shape[1]


def token_targets(
    train: np.ndarray, test: np.ndarray, vocabulary: int, where: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """train, test: (N, L) token ids -> both as int64, and n_outputs, at least `vocabulary`."""
    ys = [y.astype(np.int64) for y in (train, test)]
    largest = max(int(y.max(initial=0)) for y in ys)
    smallest = min(int(y[y != IGNORED].min(initial=0)) for y in ys)
    if smallest < 0:
        raise InputError(f"{where} has token {smallest}; tokens count from 0, {IGNORED} is ignored")
    return ys[0], ys[1], max(vocabulary, largest + 1)


def _guessed(train: np.ndarray, test: np.ndarray) -> Kind:
    if "f" in (train.dtype.kind, test.dtype.kind):
        return "values"
    return "class" if train.ndim == 1 else "marks"


def _marks(y: np.ndarray, where: str) -> np.ndarray:
    wrong = np.argwhere((y != 0) & (y != 1))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"{where}: mark {column} of example {row} is {y[row, column]}; a label applies, 1, or not, 0; "
            "other numbers need dataset.targets: values"
        )
    return y.astype(np.uint8)
