"""A panel for each setting of a sweep: its runs, its place and its title."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from distreal_sim.results.directories import group
from distreal_sim.results.runs import Run
from distreal_sim.results.sweep_table import briefest, short_names

TITLE_WIDTH = 30
"""Characters that fit above a panel."""

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

    With one swept key the panels form rows of up to four. With more, the last key's values are the
    columns and each combination of the others is a row; a setting without runs leaves a gap.
    """
    settings: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        settings.setdefault(tuple(run.setting.values()), []).append(run)
    keys = list(runs[0].setting) if runs else []
    rows = list(dict.fromkeys(values[:-1] for values in settings))
    columns = list(dict.fromkeys(values[-1:] for values in settings))
    names = short_names(keys)
    short = {key: briefest(dict.fromkeys(v[i] for v in settings)) for i, key in enumerate(keys)}
    found = []
    for number, (values, below) in enumerate(settings.items()):
        if len(keys) == 1:
            per_row = -(-len(settings) // -(-len(settings) // MOST_COLUMNS))
            row, column = divmod(number, per_row)
        else:
            row, column = rows.index(values[:-1]), columns.index(values[-1:])
        title = wrapped(
            f"{names[key]} = {short[key][value]}" for key, value in zip(keys, values, strict=True)
        )
        groups = group(replace(run, label=run.variant) for run in below)
        found.append(Panel(row, column, title, groups))
    return found


def wrapped(parts: Iterable[str], width: int = TITLE_WIDTH) -> str:
    """`low = 0.1, partition = iid`; where that is wider than a panel, a line for each, or several."""
    every = list(parts)
    line = ", ".join(every)
    return line if len(line) <= width else "\n".join(textwrap.fill(part, width) for part in every)
