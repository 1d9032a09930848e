"""Atomic file writes and directory locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from distreal_sim.base.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a temporary name next to `path`, syncs, and renames."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within the block an OSError that names no file, as that of a write to a full disk, names `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def sync(path: Path) -> None:
    """Makes a file, or the renames inside a directory, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_directory(path: Path, what: str, *, begun: bool, leftovers: Collection[str]) -> IO[str]:
    """Makes the directory and locks it until the handle that is returned is closed.

    what: `run`, `search` or `sweep`, for messages. begun: whether it holds one already; leftovers: names that
    one which never began may have left. Raises InputError where it is in use, holds something else, or
    cannot be made.
    """
    if not begun and path.is_dir() and any(found.name not in leftovers for found in path.iterdir()):
        raise InputError(f"{path} is not empty and holds no {what}; choose another --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("w")
    except OSError as error:
        raise InputError(f"{path} cannot hold a {what}: {error.strerror}; choose another --out") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise InputError(f"{path} is in use by another {what} that has not ended") from None
    return lock
