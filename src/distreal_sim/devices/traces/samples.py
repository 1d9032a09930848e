"""The rows of a trace file, before they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from distreal_sim.base.errors import InputError, nearest


class Samples(NamedTuple):
    """Rows in the order of the file, (n,) each.

    names: of the devices; times_s: None for one level a device, at all times.
    """

    names: np.ndarray
    times_s: np.ndarray | None
    levels: np.ndarray


class Names(NamedTuple):
    """Columns of a trace file; None: as the format has them or, for a table, no such column."""

    client: str | None
    time: str | None
    level: str | None


def column(table: pd.DataFrame, name: str, path: object) -> pd.Series:
    """A column of a table. Raises InputError with the names that there are."""
    if name not in table.columns:
        listed = ", ".join(map(str, table.columns))
        raise InputError(
            f"trace file {path} has no column '{name}'{nearest(name, map(str, table.columns))} "
            f"(it has: {listed})"
        )
    return table[name]


def numbers(values: pd.Series | Sequence[object], what: str, path: object) -> np.ndarray:
    """(n,) float64. Raises InputError naming the first row, from 1, that is no finite number."""
    found = pd.to_numeric(pd.Series(values).reset_index(drop=True), errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raw = pd.Series(values).iloc[bad[0]]
        shown = repr(raw) if isinstance(raw, str) else raw
        raise InputError(f"trace file {path}: row {bad[0] + 1}: {what} must be a number, not {shown}")
    return found


def seconds(values: pd.Series, what: str, path: object) -> np.ndarray:
    """(n,) times in seconds: numbers as they are, dates since the earliest of them."""
    if pd.api.types.is_numeric_dtype(values):
        return numbers(values, what, path)
    dates = pd.to_datetime(values.reset_index(drop=True), errors="coerce")
    if dates.isna().any():
        return numbers(values, what, path)
    return (dates - dates.min()).dt.total_seconds().to_numpy(np.float64)
