"""Bytes of a job and of its update."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traffic:
    """Bytes of a job's transfers.

    coverage: whether the client also uploads which channels its steps kept, one bit per step and channel; not
    needed if the server chose the channels or can redraw them.
    """

    download_bytes: int
    upload_bytes: int
    coverage: bool = False
