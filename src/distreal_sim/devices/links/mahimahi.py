"""Packet-delivery traces in the format of mahimahi, such as those of cellular networks.

R. Netravali, A. Sivaraman, S. Das, A. Goyal, K. Winstein, J. Mickens, H. Balakrishnan. Mahimahi: Accurate
Record-and-Replay for HTTP. USENIX ATC 2015; format: the manual page of mm-link. Each line holds a time in
whole milliseconds at which 1500 bytes can be delivered; a time may stand several times. The trace begins
again at its last time.

Differs from mm-link: no queue and no lost packets; a transfer has the link for itself.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import ConfigPath
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import LATENCY
from distreal_sim.devices.links._traced import (
    OFFSET,
    Deliveries,
    Offset,
    TracedLink,
    slowest_of,
    traced,
)
from distreal_sim.devices.rngs import Keyed
from distreal_sim.devices.traces.files import stamp

PACKET_BYTES = 1500


class Mahimahi(Links):
    """Traces of delivered packets, one ms a line; client i has file i modulo the number of files."""

    steady: ClassVar[bool] = False

    download: tuple[ConfigPath, ...] = Field(
        min_length=1, examples=[["traces/lte.down"]], description="files of deliveries to the clients"
    )
    upload: tuple[ConfigPath, ...] = Field(
        min_length=1, examples=[["traces/lte.up"]], description="files of deliveries from them, as many"
    )
    offset: Offset = Field("start", description=OFFSET)
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    def link(self, client_id: int, use: Use, rng: Keyed) -> TracedLink:
        return traced(self._pairs(), self.offset, self.latency_s, client_id, use, rng)

    def slowest(self) -> Link:
        return slowest_of(self._pairs(), self.latency_s)

    @model_validator(mode="after")
    def _check(self) -> Mahimahi:
        if len(self.download) != len(self.upload):
            raise ValueError(
                f"{len(self.download)} files under download, {len(self.upload)} under upload; give as many"
            )
        return self

    def _pairs(self) -> tuple[tuple[Deliveries, Deliveries], ...]:
        return _read(self, tuple(map(stamp, (*self.download, *self.upload))))


@lru_cache(maxsize=8)
def _read(links: Mahimahi, stamps: tuple[tuple[int, int], ...]) -> tuple[tuple[Deliveries, Deliveries], ...]:
    return tuple(zip(map(read_deliveries, links.download), map(read_deliveries, links.upload), strict=True))


def read_deliveries(path: Path) -> Deliveries:
    """The trace in a file. Raises InputError naming the file and the line."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"link mahimahi: {path} cannot be read: {error}") from None
    times = []
    for number, line in enumerate(lines, 1):
        if not line.strip().isdigit():
            raise InputError(f"{path}:{number}: '{line[:40]}' must be a whole number of ms, such as 17")
        times.append(int(line))
        if len(times) > 1 and times[-1] < times[-2]:
            raise InputError(f"{path}:{number}: {times[-1]} ms must not come after {times[-2]} ms")
    if not times or not times[-1]:
        raise InputError(f"{path} must hold a delivery after 0 ms, where the trace ends")
    return Deliveries(np.array(times) / 1000, PACKET_BYTES)
