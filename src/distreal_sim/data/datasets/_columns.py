"""Feature columns of a table as numbers: what is learnt from the training rows is applied to all rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets._table_files import row_of

Scale = Literal["standard", "minmax", "none"]
Missing = Literal["refuse", "mean"]


@dataclass(frozen=True)
class Number:
    """A numeric column, as (value - shift) / divisor.

    filler: what stands for a missing value; None where there must be none.
    """

    name: str
    shift: float
    divisor: float
    filler: float | None

    def encode(self, table: pd.DataFrame, path: Path) -> np.ndarray:
        """(n, 1) float32, computed in float64."""
        values = numbers(table[self.name], path, allow_missing=self.filler is not None)
        if self.filler is not None:
            values = np.where(np.isnan(values), self.filler, values)
        scaled: np.ndarray = ((values - self.shift) / self.divisor).astype(np.float32)
        return scaled[:, None]


@dataclass(frozen=True)
class Category:
    """A categorical column: one feature of 0 and 1 for each category of the training rows."""

    name: str
    categories: tuple[str, ...]

    def encode(self, table: pd.DataFrame, path: Path) -> np.ndarray:
        """(n, K) float32; a row of a category that no training row has is all 0."""
        same: np.ndarray = words(table[self.name])[:, None] == np.array(self.categories)
        return same.astype(np.float32)


def fit(
    table: pd.DataFrame,
    columns: Sequence[str],
    categorical: Collection[str],
    *,
    scale: Scale,
    missing: Missing,
    max_categories: int,
    path: Path,
) -> list[Number | Category]:
    """Encoders of the columns, from the training rows.

    Columns of words are categorical, and those that `categorical` names. Raises InputError naming file, row
    and column for missing and infinite values, for dates, and for a column of too many categories.
    """
    made: list[Number | Category] = []
    for name in columns:
        if name in categorical or is_words(table[name]):
            made.append(_category(table[name], max_categories, path))
        else:
            made.append(_number(table[name], scale, missing, path))
    return made


def _category(column: pd.Series, most: int, path: Path) -> Category:
    found = np.unique(words(column))
    if len(found) > most:
        listed = ", ".join(map(str, found[:3]))
        raise InputError(
            f"data file {path}: column '{column.name}' has {len(found)} categories ({listed}, ...), each of "
            f"which would be a feature, more than dataset.max_categories ({most}); name the column under "
            "dataset.drop, or raise max_categories"
        )
    return Category(str(column.name), tuple(map(str, found)))


def _number(column: pd.Series, scale: Scale, missing: Missing, path: Path) -> Number:
    values = numbers(column, path, allow_missing=missing == "mean")
    known = values[~np.isnan(values)]
    if not len(known):
        raise InputError(
            f"data file {path}: column '{column.name}' has no value in any training row; name it under "
            "dataset.drop"
        )
    mean = float(known.mean())
    shift, divisor = 0.0, 1.0
    if scale == "minmax":
        shift = float(known.min())
        divisor = float(known.max()) - shift or 1.0
    elif scale == "standard":
        std = float(known.std())
        shift, divisor = mean, std if std > 1e-12 * abs(mean) else 1.0
    return Number(str(column.name), shift, divisor, mean if missing == "mean" else None)


def is_words(column: pd.Series) -> bool:
    """Whether a column holds texts, or values of several kinds."""
    kinds = pd.api.types
    return bool(
        kinds.is_string_dtype(column)
        or kinds.is_object_dtype(column)
        or isinstance(column.dtype, pd.CategoricalDtype)
    )


def words(column: pd.Series) -> np.ndarray:
    """(n,) of texts; a missing value is the empty text, a category of its own."""
    return np.array(["" if pd.isna(value) else str(value) for value in column], dtype=str)


def numbers(column: pd.Series, path: Path, *, allow_missing: bool) -> np.ndarray:
    """(n,) float64, NaN where there is no value; booleans are 0 and 1.

    Raises InputError naming file, row and column for what is no finite number.
    """
    where = f"data file {path}: column '{column.name}'"
    if is_words(column):
        no_number = (pd.to_numeric(column, errors="coerce").isna() & ~column.isna()).to_numpy()
        at = int(np.argmax(no_number))
        raise InputError(
            f"{where} holds {str(column.iloc[at])!r} in {row_of(path, column.index[at])}, which is no "
            "number; mend the file, or name the column under dataset.categorical or dataset.drop"
        )
    if not pd.api.types.is_numeric_dtype(column):
        raise InputError(
            f"{where} holds {column.dtype}, which are no numbers; store numbers, or name it under "
            "dataset.drop"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    for wrong, what, advice in (
        (np.isinf(values), "an infinite value", "values must be finite"),
        (
            np.isnan(values) & (not allow_missing),
            "no value",
            "fill it in, set dataset.missing to mean, or name the column under dataset.drop",
        ),
    ):
        if wrong.any():
            rows = f" ({wrong.sum():,} rows in all)" if wrong.sum() > 1 else ""
            raise InputError(
                f"{where} has {what} in {row_of(path, column.index[int(np.argmax(wrong))])}{rows}; {advice}"
            )
    return values
