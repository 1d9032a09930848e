"""Tables in CSV and parquet files, as pandas reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from distreal_sim.base.errors import InputError, nearest

_PARQUET = (".parquet", ".pq")
_LISTED = 12


def read_table(path: Path) -> pd.DataFrame:
    """The columns of a parquet file, or of a CSV file (plain or compressed) with a line of names.

    Only empty fields of a CSV file are missing values: `NA` and the like are words. Raises InputError naming
    the file.
    """
    try:
        if path.suffix.lower() in _PARQUET:
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, skipinitialspace=True, keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise InputError(f"data file {path} is not there") from error
    except Exception as error:  # pandas and pyarrow raise many kinds for files that are no tables
        what = "parquet" if path.suffix.lower() in _PARQUET else "CSV"
        raise InputError(
            f"data file {path} cannot be read as {what}: {' '.join(str(error).split())}"
        ) from error
    if not len(table):
        raise InputError(f"data file {path} has no rows below its line of names")
    table.columns = [str(name).strip() for name in table.columns]
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"data file {path} has two columns '{twice[0]}'; give one another name")
    return table


def check_columns(table: pd.DataFrame, wanted: Sequence[str], key: str, path: Path) -> None:
    """Raises InputError, with the names that there are, unless the table has all wanted columns."""
    for name in wanted:
        if name not in table.columns:
            listed = ", ".join(map(str, table.columns[:_LISTED])) + ", ..." * (len(table.columns) > _LISTED)
            raise InputError(
                f"data file {path} has no column '{name}' (dataset.{key}){nearest(name, table.columns)} "
                f"(it has: {listed})"
            )


def row_of(path: Path, index: int) -> str:
    """Where row `index` of a table stands: the line of a CSV file, without multi-line fields."""
    if path.suffix.lower() in _PARQUET:
        return f"row {index}"
    return f"line {index + 2}"
