"""Inputs of the types and layouts that files of users have, as arrays of uint8 or float32."""

from __future__ import annotations

from typing import Literal

import numpy as np

from distreal_sim.base.errors import InputError

Channels = Literal["first", "last", "none"]

EXACT = 1 << 24
"""Whole numbers up to this size are exact in float32."""


def as_inputs(x: np.ndarray, channels: Channels, where: str) -> np.ndarray:
    """x: (n, ...) of numbers -> (n, C, ...) uint8 or float32, contiguous; itself where it is that.

    Booleans become uint8; all other numbers float32. Raises InputError for other types, for whole numbers
    that float32 cannot hold, and for arrays without an axis beside n.
    """
    if x.dtype.kind not in "buif" or x.ndim < 2:
        raise InputError(
            f"{where} must hold numbers, in the shape (n, F), (n, C, L) or (n, C, H, W); it is {x.dtype} "
            f"with shape {x.shape}"
        )
    if channels == "last":
        x = np.moveaxis(x, -1, 1)
    elif channels == "none":
        x = x[:, None]
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    elif x.dtype != np.uint8:
        if x.dtype.kind in "iu":
            _check_exact(x, where)
        x = x.astype(np.float32, copy=False)
    return np.ascontiguousarray(x)


def as_tokens(x: np.ndarray, where: str) -> np.ndarray:
    """x: (n, L) of whole numbers from 0 on -> int64. Raises InputError for anything else."""
    if x.dtype.kind not in "ui" or x.ndim != 2:
        raise InputError(
            f"{where} must hold whole numbers (n, L), the ids of tokens; it is {x.dtype} with shape {x.shape}"
        )
    if x.min(initial=0) < 0:
        raise InputError(f"{where} has token {x.min()}; tokens count from 0")
    return np.ascontiguousarray(x, dtype=np.int64)


def _check_exact(x: np.ndarray, where: str) -> None:
    if not x.size:
        return
    wrong = max(int(x.max()), -int(x.min()))
    if wrong > EXACT:
        raise InputError(
            f"{where} holds whole numbers up to {wrong:,}, which float32 cannot hold exactly beyond "
            f"{EXACT:,}; scale them, or store them as floats"
        )
