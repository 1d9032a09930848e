"""Bytes that travel with a job and with its update."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Bytes of a job's transfers.

    coverage: whether the client says beside the upload which channels its steps kept, a bit each; a server
    that chose them, or can redraw them, needs no telling.
    """

    download_bytes: int
    upload_bytes: int
    coverage: bool = False
