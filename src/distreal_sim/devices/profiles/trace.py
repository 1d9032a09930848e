"""Capacities that were measured: each client follows a trace from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import ConfigPath
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.rngs import OneOrMany, Source, for_many
from distreal_sim.devices.traces import fedscale, noise, phones, planetlab, table
from distreal_sim.devices.traces.files import stamp
from distreal_sim.devices.traces.samples import Names, Samples
from distreal_sim.devices.traces.series import Duplicates, Gaps, Order, Played, Rules, Series, series_of

READERS: dict[str, Callable[[Path, Names], Samples]] = {
    "table": table.read,
    "planetlab": planetlab.read,
    "phones": phones.read,
    "noise": noise.read,
    "fedscale": fedscale.read,
}


class Trace(Profile):
    """Level of a client = that of its trace x `scale`; a row's level holds until the time of the next row.

    Time 0 of the simulation is the first row of each trace. The file is read and checked when a run starts.
    """

    file: ConfigPath = Field(
        examples=["configs/traces/four_phones.csv"], description="file with the traces; see `format`"
    )
    format: Literal["table", "planetlab", "phones", "noise", "fedscale"] = Field(
        "table",
        description="what the file is: a CSV or parquet table; CPU use of PlanetLab, of which the free share "
        "counts; a json speed table of phones; benchmark results of machines; FedScale's pickle of devices",
    )
    client_column: str | None = Field(None, description="column that says whose row it is; table: client")
    time_column: str | None = Field(None, description="column of seconds or dates; table: time_s")
    level_column: str | None = Field(None, description="column of levels; table: level")
    order: Order = Field("error", description="rows of a client out of order of time: refused, or sorted")
    duplicates: Duplicates = Field(
        "error",
        description="rows of one client and time: refused, or the first, the last or their mean counts",
    )
    gaps: Gaps = Field(
        "hold", description="a row whose next one comes after largest_gap_s: holds, then level 0, or refused"
    )
    largest_gap_s: float | None = Field(
        None, gt=0, description="longest time that a row holds; gaps: zero, error"
    )
    interpolation: Literal["hold", "linear"] = Field(
        "hold", description="between two rows the level holds, or follows a line in pieces of step_s"
    )
    step_s: float | None = Field(None, gt=0, allow_inf_nan=False, description="linear: seconds of a piece")
    loop: bool = Field(True, description="whether a trace begins again at its end; else its last level holds")
    period_s: float | None = Field(
        None, gt=0, description="loop: when it begins again; left out: a median step after the last row"
    )
    clock: Literal["own", "common"] = Field(
        "own", description="time 0 is the first row of each trace, or the earliest row of the file for all"
    )
    assign: Literal["in_order", "random", "by_number"] = Field(
        "in_order",
        description="client i follows trace i, and past the last trace the first ones again; one that is "
        "drawn; or the trace whose name is the client's number",
    )
    begin: Literal["start", "anywhere"] = Field(
        "start", description="a client begins with the start of its trace, or at a time in it that is drawn"
    )
    scale: float = Field(1.0, gt=0, allow_inf_nan=False, description="factor of all levels")

    @model_validator(mode="after")
    def _check(self) -> Trace:
        if (self.gaps == "hold") != (self.largest_gap_s is None):
            raise ValueError("gaps zero and gaps error go together with largest_gap_s: give both or neither")
        if (self.interpolation == "linear") != (self.step_s is not None):
            raise ValueError("interpolation linear and step_s go together: give both or neither")
        if self.begin == "anywhere" and not self.loop:
            raise ValueError("begin: anywhere needs loop: true, since a trace is over at its end otherwise")
        if self.period_s is not None and not self.loop:
            raise ValueError(f"period_s ({self.period_s:g}) needs loop: true")
        return self

    @for_many
    def timeline(self, client_id: OneOrMany, rng: Source, deadline_s: float) -> Played:
        series = self._series()
        which = self._trace_of(series, client_id, rng)
        return Played.of(series, which, rng("begin").random() if self.begin == "anywhere" else 0.0)

    def lower_bound(self) -> float:
        return float(self._series().levels.min())

    def notes(self) -> tuple[str, ...]:
        series = self._series()
        lengths, levels = np.diff(series.first), series.levels
        return (
            f"{self.file.name}: {len(series):,} traces of {lengths.min():,} to {lengths.max():,} pieces, "
            f"level {levels.min():.4g} to {levels.max():.4g}, mean of the pieces {levels.mean():.4g}",
        )

    def check_fleet(self, n_clients: int) -> None:
        if self.assign == "by_number":
            self._by_number(self._series(), range(n_clients))

    def _trace_of(self, series: Series, client_id: OneOrMany, rng: Source) -> OneOrMany:
        """Which trace each client follows."""
        if self.assign == "random":
            return np.floor(rng("trace").random() * len(series)).astype(np.int64)
        if self.assign == "in_order":
            return client_id % len(series)
        found = self._by_number(series, np.atleast_1d(client_id).tolist())
        return found if isinstance(client_id, np.ndarray) else found[0]

    def _by_number(self, series: Series, client_ids: Iterable[int]) -> np.ndarray:
        """(n,) the traces of these names. Raises InputError for a client without one."""
        place = {name: i for i, name in enumerate(series.names)}
        wanted = list(map(str, client_ids))
        missing = next((one for one in wanted if one not in place), None)
        if missing is not None:
            known = ", ".join(series.names[:8]) + ", ..." * (len(series) > 8)
            raise InputError(
                f"trace file {self.file} has no trace of client {missing}, and profile.assign is by_number "
                f"(it has: {known})"
            )
        return np.array([place[one] for one in wanted])

    def _series(self) -> Series:
        return _read(self, *stamp(self.file))


@lru_cache(maxsize=8)
def _read(profile: Trace, mtime_ns: int, size: int) -> Series:
    """The traces of a profile's file; a file that has changed is read again."""
    names = Names(profile.client_column, profile.time_column, profile.level_column)
    samples = READERS[profile.format](profile.file, names)
    samples = samples._replace(levels=samples.levels * profile.scale)
    rules = Rules(
        order=profile.order,
        duplicates=profile.duplicates,
        gaps=profile.gaps,
        largest_gap_s=profile.largest_gap_s,
        step_s=profile.step_s,
        loop=profile.loop,
        period_s=profile.period_s,
        common_clock=profile.clock == "common",
    )
    return series_of(samples, rules, profile.file)
