"""Finds and reads data files, plain or compressed, with errors that say what to do."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distreal_sim.base.errors import InputError

_SUFFIXES = ("", ".gz", ".xz")


def look_for(folders: Sequence[Path], name: str) -> Path | None:
    """The first of folder/name, folder/name.gz, folder/name.xz that is a file, folder by folder, or None."""
    for folder in folders:
        for suffix in _SUFFIXES:
            path = folder / (name + suffix)
            # Not path.is_file(), which raises where a folder may not be entered.
            if os.path.isfile(path):
                return path
    return None


def find(folders: Sequence[Path], name: str, source: str) -> Path:
    """As `look_for`; raises InputError with the places searched and the `source` to get the file from."""
    path = look_for(folders, name)
    if path is None:
        places = " or ".join(str(folder) for folder in folders)
        raise InputError(f"data file {name} (plain, .gz or .xz) not found in {places}; get it from {source}")
    return path


def read(path: Path, source: str) -> bytes:
    """The decompressed bytes of a file. Raises InputError if it is unreadable, truncated or damaged."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            return gzip.decompress(raw)
        if path.suffix == ".xz":
            return lzma.decompress(raw)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise damaged(path, f"expected a complete {path.suffix} file, but {error}", source) from error
    except OSError as error:
        raise InputError(f"data file {path} cannot be read: {error.strerror or error}") from error
    return raw


def damaged(path: Path, problem: str, source: str) -> InputError:
    """Error for a file whose content is wrong: what was expected and found, and where to get a good one."""
    return InputError(f"data file {path} is not what it should be: {problem}; get it from {source}")


def check_labels(path: Path, y: np.ndarray, n_classes: int, source: str) -> None:
    """Raises InputError unless every label is in 0 .. n_classes - 1."""
    wrong = np.flatnonzero((y < 0) | (y >= n_classes))
    if len(wrong):
        where = f"label {y[wrong[0]]} of example {wrong[0]}"
        raise damaged(path, f"{where} is outside 0 .. {n_classes - 1} (n_classes is {n_classes})", source)
