"""The levels that a method lets its clients train, for people: in a line, and in a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from distreal_sim.base.errors import naming
from distreal_sim.base.text import add_row, compact, percent, table
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Level

MOST_SHARES = 16
"""Levels whose shares are listed one by one."""


def choices(method: Method, task: Task) -> tuple[Level, ...]:
    """The levels of a method that has several and no front, cheapest first; empty for others."""
    with naming(f"method {method.name}"):
        levels = method.all_levels(task)
    if task.front is not None or len(levels) < 2:
        return ()
    return tuple(sorted(levels, key=lambda level: level.macs_per_example))


def levels_line(levels: Sequence[Level], task: Task) -> str:
    """Their number and their shares of the full network's MACs."""
    shares = [percent(level.macs_per_example / task.macs_per_example(task.full)) for level in levels]
    shown = ", ".join(shares) if len(shares) <= MOST_SHARES else f"{shares[0]} to {shares[-1]}"
    distinct = len({(level.counts, level.macs_per_example) for level in levels})
    same = f", {distinct} of them different" if distinct < len(levels) else ""
    return f"{len(levels)} with {shown} of the full MACs{same}"


def levels_table(levels: Sequence[Level], task: Task, name: str) -> Table:
    """A row for each: MACs of training on an example, bytes, kept channels of each coupling group."""
    full = task.macs_per_example(task.full)
    shown = table(f"{name}: levels", "#|MACs|% of full|bytes down|bytes up|<kept channels")
    for index, level in enumerate(levels):
        traffic, share = level.traffic, f"{100 * level.macs_per_example / full:.2f}"
        sizes = (traffic.download_bytes, traffic.upload_bytes)
        add_row(shown, index, level.macs_per_example, share, *sizes, compact(level.counts))
    return shown
