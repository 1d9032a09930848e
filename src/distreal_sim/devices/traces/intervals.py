"""Intervals in which devices are there, read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distreal_sim.base.errors import InputError
from distreal_sim.devices.traces.files import read_json, read_table
from distreal_sim.devices.traces.samples import column, numbers
from distreal_sim.devices.traces.series import Series


class Intervals(NamedTuple):
    """One device: (n, 2) starts and ends in seconds, and the time from which to which it was watched."""

    name: str
    times_s: np.ndarray
    begin_s: float
    end_s: float


def read_intervals(path: Path) -> list[Intervals]:
    """The intervals of a CSV or parquet table with the columns client, start_s and end_s.

    Watched from 0, or the earliest start if that is before it, to the latest end of all clients.
    """
    table = read_table(path)
    starts = numbers(column(table, "start_s", path), "start_s", path)
    ends = numbers(column(table, "end_s", path), "end_s", path)
    names = column(table, "client", path).astype(str).to_numpy()
    begin_s, end_s = min(0.0, float(starts.min())), float(ends.max())
    found = []
    for name in dict.fromkeys(names.tolist()):
        own = names == name
        found.append(Intervals(name, np.column_stack([starts[own], ends[own]]), begin_s, end_s))
    return found


def read_phones(path: Path) -> list[Intervals]:
    """When phones were ready: locked, on WiFi and charging. The layout is that of FLHetBench.

    {phone: {isSuccess, trace_start, trace_end, ready_time: [[start, end], ...]}} (`cached_timers.json`);
    phones whose isSuccess is false are left out. Zhang et al. FLHetBench: Benchmarking Device and State
    Heterogeneity in Federated Learning. CVPR 2024; its phones are those of FLASH (Yang et al., WWW 2021).
    """
    value = read_json(path)
    try:
        return [
            Intervals(
                str(name),
                np.array(own["ready_time"], np.float64).reshape(-1, 2),
                float(own["trace_start"]),
                float(own["trace_end"]),
            )
            for name, own in value.items()
            if own["isSuccess"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"trace file {path} must be json {{phone: {{isSuccess, trace_start, trace_end, ready_time}}}}; "
            f"{type(error).__name__}: {error}"
        ) from None


def series_of_intervals(devices: list[Intervals], common_clock: bool, path: object) -> Series:
    """Level 1 in the intervals, 0 between them; a trace begins again when its device was no longer watched.

    Intervals without a length are left out. common_clock: time 0 is the earliest that any device was watched,
    and all begin again together. Raises InputError naming the client whose intervals are not in order.
    """
    if not devices:
        raise InputError(f"trace file {path} has no intervals")
    earliest_s = min(own.begin_s for own in devices)
    period_s = max(own.end_s for own in devices) - earliest_s
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    periods = []
    for own in devices:
        zero_s = earliest_s if common_clock else own.begin_s
        rows.append(_rows(own, zero_s, path))
        periods.append(period_s if common_clock else own.end_s - zero_s)
    lengths: Any = [len(times) for times, _ in rows]
    return Series(
        tuple(own.name for own in devices),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([times for times, _ in rows]),
        np.concatenate([levels for _, levels in rows]),
        np.array(periods),
    )


def _rows(own: Intervals, zero_s: float, path: object) -> tuple[np.ndarray, np.ndarray]:
    """(times, levels): the level changes with every start and end; one that is both keeps it."""
    times = own.times_s[np.argsort(own.times_s[:, 0], kind="stable")]
    where = f"trace file {path}: client {own.name}: the interval"
    for start, end in times[times[:, 1] < times[:, 0]].tolist():
        raise InputError(f"{where} from {start:g} to {end:g} s ends before it starts")
    times = times[times[:, 1] > times[:, 0]]
    for (start, end), (_, before) in zip(times[1:].tolist(), times[:-1].tolist(), strict=True):
        if start < before:
            raise InputError(f"{where} from {start:g} to {end:g} s overlaps the one before it")
    for start, end in times[(times[:, 0] < own.begin_s) | (times[:, 1] > own.end_s)].tolist():
        raise InputError(
            f"{where} from {start:g} to {end:g} s is outside of {own.begin_s:g} to {own.end_s:g} s"
        )
    joined = np.flatnonzero(times[1:, 0] == times[:-1, 1])
    flat = np.delete(times.ravel(), np.concatenate([2 * joined + 1, 2 * joined + 2])) - zero_s
    levels = np.arange(1, len(flat) + 1) % 2.0
    if not len(flat) or flat[0] > 0:
        flat, levels = np.append(0.0, flat), np.append(0.0, levels)
    return flat, levels
