"""Speeds from a CSV file."""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import ConfigPath
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links._options import LATENCY
from distreal_sim.devices.links._traced import OFFSET, Offset, Speeds, TracedLink, slowest_of, traced
from distreal_sim.devices.rngs import Keyed
from distreal_sim.devices.traces.files import stamp

COLUMNS = ("t_s", "download_bytes_per_s", "upload_bytes_per_s")
NAME = "link"


class Trace(Links):
    """A CSV file with the columns t_s, download_bytes_per_s, upload_bytes_per_s and perhaps link, a name:
    client i has link i modulo their number, in the order in which they first stand there.

    A speed holds until the next row of its link, the last one as long as the one before it; then the trace
    begins again. A trace begins at its first t_s. The times of a link must rise.
    """

    steady: ClassVar[bool] = False

    file: ConfigPath = Field(examples=["traces/links.csv"], description="the CSV file")
    offset: Offset = Field("start", description=OFFSET)
    latency_s: float = Field(0.0, ge=0, allow_inf_nan=False, description=LATENCY)

    def link(self, client_id: int, use: Use, rng: Keyed) -> TracedLink:
        return traced(self._pairs(), self.offset, self.latency_s, client_id, use, rng)

    def slowest(self) -> Link:
        return slowest_of(self._pairs(), self.latency_s)

    def _pairs(self) -> tuple[tuple[Speeds, Speeds], ...]:
        return _read(self, stamp(self.file))


@lru_cache(maxsize=8)
def _read(links: Trace, file_stamp: tuple[int, int]) -> tuple[tuple[Speeds, Speeds], ...]:
    return read_speeds(links.file)


def read_speeds(path: Path) -> tuple[tuple[Speeds, Speeds], ...]:
    """The (download, upload) traces of each link. Raises InputError naming the file and the line."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} must have the columns {', '.join(COLUMNS)}; it lacks {missing[0]}")
            for row in reader:
                rows.setdefault(row.get(NAME) or "", []).append(_numbers(row, f"{path}:{reader.line_num}"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"link trace: {path} cannot be read: {error}") from None
    if not rows:
        raise InputError(f"{path} must have at least two rows")
    return tuple(_speeds(f"{path}{f', link {name}' if name else ''}", own) for name, own in rows.items())


def _numbers(row: dict[str, str], where: str) -> tuple[float, ...]:
    found = []
    for name in COLUMNS:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            value = math.nan
        if not (math.isfinite(value) and (name == "t_s" or value >= 0)):
            least = "" if name == "t_s" else " of at least 0"
            raise InputError(f"{where}: {name} ({row[name]}) must be a number{least}")
        found.append(value)
    return tuple(found)


def _speeds(where: str, rows: list[tuple[float, ...]]) -> tuple[Speeds, Speeds]:
    t_s, down, up = np.array(rows).T
    if len(t_s) < 2:
        raise InputError(f"{where}: there must be at least two rows, so that it is known how long they hold")
    for before, own in pairwise(t_s.tolist()):
        if own <= before:
            raise InputError(f"{where}, t = {own:g} s: must come after {before:g} s, the row before it")
    if not down.any() or not up.any():
        raise InputError(f"{where}: a speed must be above 0 at some time in each direction")
    from_s, period_s = t_s - t_s[0], float(2 * t_s[-1] - t_s[-2] - t_s[0])
    return Speeds(from_s, down, period_s), Speeds(from_s, up, period_s)
