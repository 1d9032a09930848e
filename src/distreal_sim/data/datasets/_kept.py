"""Decompressed copies of large data files, in the user's cache folder, for the next run or the next cell.

The folder is $XDG_CACHE_HOME/distreal-sim, or ~/.cache/distreal-sim; it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

_DIGEST_BYTES = 16


def folder() -> Path:
    """The folder of the copies."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a path that is not absolute is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "distreal-sim"


def once(path: Path, make: Callable[[], bytes]) -> bytes:
    """make(), or its earlier result for the same file: the same path, size, inode and time of change.

    A copy begins with a digest of the rest, so that a damaged one is made again. Where no copy can be kept,
    such as on a full disk, there is none.
    """
    try:
        where, status = path.resolve(), path.stat()
        name = f"{path.stem}-{_hex(str(where))}"
        identity = (status.st_size, status.st_ino, status.st_mtime_ns)
        copy = folder() / f"{name}-{_hex(repr(identity))}"
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return make()
    with contextlib.suppress(OSError):
        known = copy.read_bytes()
        content = known[_DIGEST_BYTES:]
        if known[:_DIGEST_BYTES] == _digest(content):
            return content
    content = make()
    with contextlib.suppress(OSError):
        _keep(copy, content)
        for older in copy.parent.glob(f"{name}-*"):
            if older != copy:
                older.unlink(missing_ok=True)
    return content


def _keep(copy: Path, content: bytes) -> None:
    """Writes a copy that other processes see whole or not at all."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=copy.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_digest(content))
            file.write(content)
        os.replace(temporary, copy)
    except BaseException:
        os.unlink(temporary)
        raise


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _hex(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
