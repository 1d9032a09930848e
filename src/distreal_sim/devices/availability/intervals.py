"""Clients that are there in intervals that were recorded, such as phones that were charging."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.plugins import ConfigPath
from distreal_sim.devices.availability import Presences
from distreal_sim.devices.rngs import OneOrMany, Source, for_many
from distreal_sim.devices.traces.files import stamp
from distreal_sim.devices.traces.intervals import read_intervals, read_phones, series_of_intervals
from distreal_sim.devices.traces.series import Played, Series


class Intervals(Presences):
    """A client is there in the intervals of its trace, which begins again at its end."""

    file: ConfigPath = Field(
        examples=["configs/traces/four_phones_ready.csv"], description="file with the intervals; see `format`"
    )
    format: Literal["table", "phones"] = Field(
        "table",
        description="what the file is: a CSV or parquet table of client, start_s and end_s; json of phones' "
        "readiness as in FLHetBench",
    )
    clock: Literal["own", "common"] = Field(
        "own", description="time 0 is the start of each client's record, or the earliest one for all"
    )
    assign: Literal["in_order", "random"] = Field(
        "in_order",
        description="client i follows trace i, and past the last trace the first ones again; or one drawn",
    )
    begin: Literal["start", "anywhere"] = Field(
        "start", description="a client begins with the start of its trace, or at a time in it that is drawn"
    )

    @for_many
    def presence(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Played:
        series = self._series()
        which: OneOrMany = client_id % len(series)
        if self.assign == "random":
            which = np.floor(rng("trace").random() * len(series)).astype(np.int64)
        return Played.of(series, which, rng("begin").random() if self.begin == "anywhere" else 0.0)

    def notes(self) -> tuple[str, ...]:
        series = self._series()
        shares, lengths_s = shares_there(series)
        median_s = np.median(lengths_s) if len(lengths_s) else 0
        return (
            f"{self.file.name}: {len(series):,} traces of {series.period_s.min():,.0f} to "
            f"{series.period_s.max():,.0f} s; there {100 * shares.mean():.3g} % of the time, "
            f"{len(lengths_s):,} intervals of {median_s:,.0f} s in the median",
        )

    def _series(self) -> Series:
        return _read(self, *stamp(self.file))


@lru_cache(maxsize=8)
def _read(availability: Intervals, mtime_ns: int, size: int) -> Series:
    """The intervals of a file; one that has changed is read again."""
    read = read_intervals if availability.format == "table" else read_phones
    common = availability.clock == "common"
    return series_of_intervals(read(availability.file), common, availability.file)


def shares_there(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """(n,) share of its period in which each device is there; lengths of all intervals, in seconds."""
    shares, lengths_s = [], [np.empty(0)]
    for i in range(len(series)):
        rows = slice(series.first[i], series.first[i + 1])
        spans_s = np.diff(series.times_s[rows], append=series.period_s[i])[series.levels[rows] > 0]
        shares.append(spans_s.sum() / series.period_s[i])
        lengths_s.append(spans_s)
    return np.array(shares), np.concatenate(lengths_s)
