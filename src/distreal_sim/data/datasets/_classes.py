"""Class numbers of labels as a user's file has them: whole numbers, words or booleans."""

from __future__ import annotations

import numpy as np

from distreal_sim.base.errors import InputError


def numbered(train: np.ndarray, test: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, int]:
    """train: (N,), test: (M,) labels of one kind -> both as int64 classes, and the number of classes.

    Whole numbers, of which 0 is the smallest, stand for themselves; all others (words, booleans, numbers that
    begin elsewhere) are numbered in sorted order. Raises InputError for labels that are none of these.
    """
    kinds = {train.dtype.kind, test.dtype.kind}
    if not (kinds <= {"i", "u"} or kinds <= {"U"} or kinds == {"b"}):
        raise InputError(
            f"{where}: labels of classes must be whole numbers, words or booleans, of one kind in both "
            f"splits, not {train.dtype} and {test.dtype}"
        )
    both = np.concatenate([train, test])
    names, codes = np.unique(both, return_inverse=True)
    codes = codes.astype(np.int64)
    n_classes = len(names)
    if kinds <= {"i", "u"} and int(names[0]) == 0:
        codes, n_classes = both.astype(np.int64), int(names[-1]) + 1
        if n_classes > max(2 * len(both), 1000):
            raise InputError(
                f"{where}: the largest label is {names[-1]}, for {len(both)} examples; labels of classes are "
                "numbered from 0 on"
            )
    return codes[: len(train)], codes[len(train) :], n_classes


def whole(values: np.ndarray, where: str) -> np.ndarray:
    """(N,) of any type -> itself, or int64 for floats that are whole numbers; else InputError."""
    if values.dtype.kind != "f":
        return values
    wrong = np.flatnonzero(values != np.rint(values))
    if len(wrong):
        raise InputError(
            f"{where}: label {values[wrong[0]]:g} of example {wrong[0]} is no whole number, so it is no class"
        )
    return values.astype(np.int64)


def writer_numbers(
    train: np.ndarray | None, test: np.ndarray | None, n_train: int, n_test: int, where: str
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Who produced each training and each test example, numbers or words -> numbers from 0 on, sorted.

    A writer has the same number in both. Raises InputError unless each example has one.
    """
    given = [w for w in (train, test) if w is not None]
    for name, writers, n in (("writers", train, n_train), ("writers_test", test, n_test)):
        if writers is not None and (writers.shape != (n,) or writers.dtype.kind not in "iuU"):
            raise InputError(
                f"{where}: {name} is {writers.dtype} of shape {writers.shape}, expected a whole number or a "
                f"word for each of {n} examples"
            )
    if not given:
        return None, None
    if len({w.dtype.kind == "U" for w in given}) > 1:
        raise InputError(f"{where}: writers must be numbers or words in both splits")
    codes = np.unique(np.concatenate(given), return_inverse=True)[1].astype(np.int64)
    if test is None:
        return codes, None
    return (None, codes) if train is None else (codes[:n_train], codes[n_train:])
