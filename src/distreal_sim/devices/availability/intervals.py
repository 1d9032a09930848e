"""Clients that are there in intervals that were recorded, such as phones that were charging.

`assign: ranked` is the sampler of states of Zhang et al. FLHetBench: Benchmarking Device and State
Heterogeneity in Federated Learning. CVPR 2024. Differs from the paper: the score of a trace is the share of
the time that its device is there (our choice), and the draw has a seed, which is fixed in its public code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import ConfigPath
from distreal_sim.base.rng import generator
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
    assign: Literal["in_order", "random", "ranked"] = Field(
        "in_order",
        description="client i follows trace i, and past the last trace the first ones again; or one drawn, "
        "all alike, or the more likely the longer it is there",
    )
    alpha: float = Field(
        100.0,
        gt=0,
        allow_inf_nan=False,
        description="ranked: how far down the ranks clients are drawn, about this many traces",
    )
    start_rank: int = Field(0, ge=0, description="ranked: the best traces that are left out")
    draw: int = Field(
        0, ge=0, description="ranked: number of the draw of the weights; clients draw by the seed"
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
        elif self.assign == "ranked":
            order, ends = _ranks(self, *stamp(self.file))
            which = order[np.minimum(np.searchsorted(ends, rng("trace").random(), "right"), len(order) - 1)]
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


@lru_cache(maxsize=8)
def _ranks(availability: Intervals, mtime_ns: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(m,) traces, those that are there longest first, without the first start_rank; (m,) upper ends of their
    intervals in [0, 1).
    """
    shares, _ = shares_there(_read(availability, mtime_ns, size))
    order = np.argsort(-shares, kind="stable")[availability.start_rank :]
    if not len(order):
        raise InputError(
            f"availability.start_rank ({availability.start_rank}) must be below {len(shares)}, the number of "
            f"traces in {availability.file}"
        )
    rng = generator(availability.draw, "ranked traces")
    return order, np.cumsum(stick_breaking(len(order), availability.alpha, rng))


def shares_there(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """(n,) share of its period in which each device is there; lengths of all intervals, in seconds."""
    shares, lengths_s = [], [np.empty(0)]
    for i in range(len(series)):
        rows = slice(series.first[i], series.first[i + 1])
        spans_s = np.diff(series.times_s[rows], append=series.period_s[i])[series.levels[rows] > 0]
        shares.append(spans_s.sum() / series.period_s[i])
        lengths_s.append(spans_s)
    return np.array(shares), np.concatenate(lengths_s)


def stick_breaking(n: int, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) weights of a Dirichlet process, cut after n and divided by their sum: each takes a share of
    Beta(1, alpha) of what the ones before it left.
    """
    shares = rng.beta(1.0, alpha, n)
    weights = shares * np.concatenate([[1.0], np.cumprod(1 - shares)[:-1]])
    normalised: np.ndarray = weights / weights.sum()
    return normalised
