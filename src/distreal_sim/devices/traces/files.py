"""Files of any kind that traces come in: CSV, parquet, json, and pickles of plain values."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pandas as pd

from distreal_sim.base.errors import InputError


def stamp(path: Path) -> tuple[int, int]:
    """(time of the last change, size) of a file, so that one that has changed is read again.

    Raises InputError where there is none.
    """
    try:
        stat = path.stat()
    except OSError:
        raise InputError(f"trace file {path} is not there") from None
    return stat.st_mtime_ns, stat.st_size


def content_of(path: Path) -> bytes:
    """The bytes of a file, decompressed if its name ends in .gz. Raises InputError."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise InputError(f"trace file {path} is not there") from error
    except (OSError, EOFError) as error:
        raise InputError(f"trace file {path} cannot be read: {error}") from error


def read_table(path: Path) -> pd.DataFrame:
    """The columns of a parquet file, or of a CSV file with a line of names. Raises InputError."""
    content, parquet = io.BytesIO(content_of(path)), ".parquet" in path.suffixes
    try:
        table = pd.read_parquet(content) if parquet else pd.read_csv(content, skipinitialspace=True)
    except Exception as error:  # pandas and pyarrow raise many kinds for files that are no tables
        what = "parquet" if parquet else "CSV"
        raise InputError(
            f"trace file {path} cannot be read as {what}: {' '.join(str(error).split())}"
        ) from error
    if not len(table):
        raise InputError(f"trace file {path} has no rows")
    table.columns = [str(name).strip() for name in table.columns]
    return table


def read_json(path: Path) -> Any:
    """The value in a json file. Raises InputError."""
    try:
        return json.loads(content_of(path))
    except ValueError as error:
        raise InputError(f"trace file {path} is no json file: {error}") from error


class _PlainValues(pickle.Unpickler):
    """Builds dictionaries, lists, tuples, numbers and strings, and calls nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, only plain values are admitted")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside of the file")


def read_pickle(path: Path) -> Any:
    """The value of a pickle of plain values. Raises InputError for anything else; nothing is called."""
    try:
        return _PlainValues(io.BytesIO(content_of(path))).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"trace file {path} is no pickle of plain values: {error}") from error
