"""What directories of runs, searches and sweeps share: the lock, the question "same config?", the status."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

from distreal_sim.base.errors import InputError
from distreal_sim.base.files import write_atomically
from distreal_sim.base.sources import Sources, changed


def lock_directory(path: Path, what: str, *, begun: bool, config: str) -> IO[str]:
    """Makes the directory and locks it until the handle that is returned is closed.

    what: `run`, `search` or `sweep`, for messages. begun: whether it holds one already; config: the first
    file that one writes, of which one that never began may have left a temporary copy. Raises InputError
    where the directory is in use, holds something else, or cannot be made.
    """
    leftovers = (".lock", f"{config}.tmp")
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


def check_same_keys(
    path: Path, what: str, before: Mapping[str, Any], here: Mapping[str, Any], may_differ: Collection[str]
) -> None:
    """Raises InputError naming the first key that differs from the config of what is to be resumed.

    before, here: dotted keys and values; may_differ: keys that do not count, nor those below them.
    """
    for key in sorted({*before, *here}):
        counts = not any(f"{key}.".startswith(f"{other}.") for other in may_differ)
        if counts and before.get(key) != here.get(key):
            raise InputError(
                f"{path} holds the {what} of another config: {key} is {before.get(key)!r} there and "
                f"{here.get(key)!r} now; use the same config, or choose another --out"
            )


def check_same_sources(path: Path, what: str, before: Sources, here: Sources) -> None:
    """Raises InputError naming the first source file of the user's that is not what it was."""
    file = changed(before, here)
    if file is None:
        return
    how = "is not part of it here"
    if file in here:
        how = "has been changed since it began" if file in before else "is new"
    raise InputError(
        f"{path} holds the {what} of other source code: {file} {how}; go back to the code that the {what} "
        "began with, or choose another --out"
    )


def read_status(path: Path) -> dict[str, Any]:
    """The content of a JSON file; nothing where there is none."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_status(path: Path, values: Mapping[str, Any]) -> None:
    """Replaces a JSON file."""
    write_atomically(path, json.dumps(values, indent=1).encode())
