"""A panel for each setting of a sweep: which, where, and what is written above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from distreal_sim.results.runs import Run, group
from distreal_sim.results.sweep_table import short_names

MOST_COLUMNS = 4
"""Panels of one swept key in a row; more are wrapped."""


class Panel(NamedTuple):
    """row, column: its place; title: the setting; groups: its runs by variant."""

    row: int
    column: int
    title: str
    groups: dict[str, list[Run]]


def panels_of(runs: Sequence[Run]) -> list[Panel]:
    """One panel per setting, in the order of the runs; one untitled panel for runs that are no sweep.

    With one swept key the panels stand in rows of up to four. With more, the last key's values are the
    columns and each combination of the others is a row; a setting without runs leaves a gap.
    """
    settings: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        settings.setdefault(tuple(run.setting.values()), []).append(run)
    keys = list(runs[0].setting) if runs else []
    rows = list(dict.fromkeys(values[:-1] for values in settings))
    columns = list(dict.fromkeys(values[-1:] for values in settings))
    found = []
    for number, (values, below) in enumerate(settings.items()):
        if len(keys) == 1:
            per_row = -(-len(settings) // -(-len(settings) // MOST_COLUMNS))
            row, column = divmod(number, per_row)
        else:
            row, column = rows.index(values[:-1]), columns.index(values[-1:])
        title = _title(dict(zip(keys, values, strict=True)))
        groups = group(replace(run, label=run.variant) for run in below)
        found.append(Panel(row, column, title, groups))
    return found


def _title(setting: Mapping[str, str]) -> str:
    """`low = 0.1, partition = iid`; in several lines where it is long."""
    names = short_names(setting)
    parts = [f"{names[key]} = {value}" for key, value in setting.items()]
    line = ", ".join(parts)
    return line if len(line) <= 34 else "\n".join(parts)
