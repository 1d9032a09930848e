"""Finds and reads data files, plain or compressed, with errors that give advice."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.data.datasets import _kept

SUFFIXES = ("", ".gz", ".xz")
"""Suffixes of a file's name; the first that exists is read."""

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".7z", ".rar")
_MOST_NAMES = 6
_WORTH_KEEPING = 1 << 20
"""Bytes of an .xz file from which on its decompressed content is kept for the next time."""


def look_for(folders: Sequence[Path], *names: str) -> Path | None:
    """The first of folder/name, folder/name.gz, folder/name.xz that is a file, folder by folder, or None."""
    for folder in folders:
        for name in names:
            for suffix in SUFFIXES:
                path = folder / (name + suffix)
                # Not path.is_file(), which raises where a folder may not be entered.
                if os.path.isfile(path):
                    return path
    return None


def find(folders: Sequence[Path], *names: str, source: str, hint: str = "") -> Path:
    """As `look_for`; raises InputError with the places searched, their content and a source of the file.

    names: the file's name and others under which it is known. hint: further advice of the reader.
    """
    path = look_for(folders, *names)
    if path is None:
        there = what_lies_there(folders)
        if hint and not there.startswith("unpack"):
            there = ""
        raise InputError(
            f"data file {names[0]} (plain, .gz or .xz) not found in {_places(folders)}; "
            f"{hint}{there}get it from {source}"
        )
    return path


def _places(folders: Sequence[Path]) -> str:
    return " or ".join(str(folder) for folder in folders)


def what_lies_there(folders: Sequence[Path]) -> str:
    """Advice on the folders, as the beginning of `get it from ...`: `unpack data.zip in DIR if that
    is it, or ` where there are archives, else `in DIR there are a, b; `, else nothing.
    """
    listed = [(folder, names) for folder in dict.fromkeys(folders) if (names := names_in(folder))]
    for folder, names in listed:
        if archives := [name for name in names if name.lower().endswith(_ARCHIVES)]:
            which = archives[0] if len(archives) == 1 else f"what is needed of {_some(archives)}"
            return f"unpack {which} in {folder} if that is it, or "
    return f"in {listed[0][0]} there are {_some(listed[0][1])}; " if listed else ""


def names_in(folder: Path) -> list[str]:
    """Names of the files and folders in a folder, sorted, folders with a `/`; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
    except OSError:
        return []


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def read(path: Path, source: str) -> bytes:
    """The decompressed bytes of a file. Raises InputError if it is unreadable, truncated or damaged."""
    try:
        if path.suffix == ".xz" and path.stat().st_size >= _WORTH_KEEPING:
            return _kept.once(path, lambda: lzma.decompress(path.read_bytes()))
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
    """Error for a file with wrong content: the expected and the found content, and a source of the file."""
    return InputError(f"data file {path} has wrong content: {problem}; get it from {source}")


def check_labels(path: Path, y: np.ndarray, n_classes: int, source: str) -> None:
    """Raises InputError unless every label is in 0 .. n_classes - 1."""
    wrong = np.flatnonzero((y < 0) | (y >= n_classes))
    if len(wrong):
        where = f"label {y[wrong[0]]} of example {wrong[0]}"
        raise damaged(path, f"{where} is outside 0 .. {n_classes - 1} (n_classes is {n_classes})", source)
