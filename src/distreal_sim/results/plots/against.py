"""The final value of a metric against a swept axis: one line per method, a panel for each other setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.results.plots._curves import IN_WORDS, Band, Curve, name_of
from distreal_sim.results.plots._legend import legend_above
from distreal_sim.results.plots._lines import label_lines
from distreal_sim.results.plots._panels import panels_of
from distreal_sim.results.plots._save import look, save
from distreal_sim.results.plots._units import in_words
from distreal_sim.results.runs import Run
from distreal_sim.results.statistics import is_share, t_interval
from distreal_sim.results.sweep_table import brief, briefest, short_names

METHOD = "method.name"

DODGE = 0.08
"""Distance of two methods at the same word on the x axis, in distances of words."""


def against(
    runs: Sequence[Run],
    key: str | None = None,
    out: Path | None = None,
    band: Band = "ci",
) -> Figure:
    """Mean over seeds of the final score at each value of a swept key, with its 95 % t-interval as bars.

    key: of the sweep's settings, in full or its last part (`low` for `profile.low`), or any key of the runs'
    configs; by default the first setting, or the methods. Which score it is, the runs say (`Run.y`). band:
    see `_curves.Band`. Raises InputError for a key that the runs do not have.
    """
    held = [run for run in runs if len(run.evaluated)]
    if not held:
        raise InputError(f"no run has a value of {runs[0].y if runs else 'accuracy'} yet")
    chosen = _full_key(held, key)
    at = {run.path: _value(run, chosen) for run in held}
    order = list(dict.fromkeys(at.values()))
    numbers = [_number(text) for text in order]
    places = [n for n in numbers if n is not None]
    is_numeric = len(places) == len(order) and len(order) > 1
    x = dict(zip(order, places if is_numeric else range(len(order)), strict=True))
    in_shares = all(is_share(run.evaluated[run.y]) for run in held)
    panels = panels_of([_without(run, chosen) for run in held])
    groups = {label: seeds for panel in panels for label, seeds in panel.groups.items()}
    n_rows, n_columns = 1 + max(p.row for p in panels), 1 + max(p.column for p in panels)
    size = (5.6, 3.7) if len(panels) == 1 else (max(4.2, 0.8 + 2.3 * n_columns), 1.2 + 2.2 * n_rows)
    with look():
        figure = Figure(figsize=size)
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        lines, texts = label_lines(groups), brief(groups)
        handles: dict[str, Any] = {}
        with_bars, lowest, highest = False, np.inf, -np.inf
        for axes in grid.ravel():
            axes.set_axis_off()
        for panel in panels:
            axes = grid[panel.row, panel.column]
            axes.set_axis_on()
            axes.set_title(panel.title)
            for label, seeds in panel.groups.items():
                curve = _curve(seeds, at, x)
                low, high = curve.band(band)
                if in_shares:
                    low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
                with_bars = with_bars or bool(np.isfinite(low).any())
                lowest, highest = min(lowest, *curve.lowest), max(highest, *curve.highest)
                errors = np.nan_to_num(np.array([curve.mean - low, high - curve.mean]))
                own = lines[label]
                shift = 0.0
                if not is_numeric:
                    own = {**own, "linestyle": ""}
                    shift = DODGE * (list(lines).index(label) - (len(lines) - 1) / 2)
                drawn = axes.errorbar(
                    curve.x + shift, curve.mean, errors if errors.any() else None, capsize=2, elinewidth=0.9,
                    markeredgecolor="white", markeredgewidth=0.4, **own,
                )  # fmt: skip
                handles.setdefault(texts[label], drawn)
            if not is_numeric:
                short = briefest(order)
                axes.set_xticks(range(len(order)), [short[text] for text in order], rotation=20, ha="right")
        _limit(grid[0, 0], lowest, highest, in_shares)
        if not is_numeric:
            grid[0, 0].set_xlim(-0.5, len(order) - 0.5)
        name = in_words(short_names([chosen])[chosen])
        what = f"Final {name_of(held).replace('Test', 'test')}"
        if len(panels) == 1:
            grid[0, 0].set(xlabel=name, ylabel=what)
        else:
            figure.supxlabel(name, fontsize=9)
            figure.supylabel(what, fontsize=9)
        title = IN_WORDS[band].replace("band", "bars") if with_bars else None
        legend_above(figure, list(handles.values()), list(handles), title)
        save(figure, out)
    return figure


def _limit(axes: Axes, lowest: float, highest: float, in_shares: bool) -> None:
    """Every seed is in sight; a bar may leave (with two seeds it can be 13 times as long)."""
    margin = 0.08 * (highest - lowest) or 0.05
    low, high = lowest - margin, highest + margin
    axes.set_ylim((max(0.0, low), min(1.0, high)) if in_shares else (low, high))


def _full_key(runs: Sequence[Run], key: str | None) -> str:
    settings = list(runs[0].setting)
    if key is None:
        return settings[0] if settings else METHOD
    names = {short: full for full, short in short_names(settings).items()}
    full = names.get(key, key)
    keys = {**dict.fromkeys(settings), **dict.fromkeys(k for run in runs for k in _flat(run.config))}
    if full not in keys:
        message = unknown("swept key", key, names or keys)
        raise InputError(f"{message}, or any key of the runs' configs" if names else str(message))
    return full


def _value(run: Run, key: str) -> str:
    value = run.setting[key] if key in run.setting else _flat(run.config).get(key, "-")
    return str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word, value in config.items():
        path = f"{prefix}{word}"
        found |= _flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value}
    return found


def _without(run: Run, key: str) -> Run:
    """The run as one of a sweep without this key; outside a sweep, as one of its method."""
    if run.place is None:
        return replace(run, label=run.method)
    setting = {k: v for k, v in run.setting.items() if k != key}
    return replace(run, place=replace(run.place, setting=setting))


def _curve(runs: Sequence[Run], at: Mapping[Path, str], x: Mapping[str, float]) -> Curve:
    """Means over the seeds of each value, in ascending order."""
    found: dict[float, list[float]] = {}
    for run in runs:
        found.setdefault(x[at[run.path]], []).append(run.final())
    rows = []
    for place in sorted(found):
        own = found[place]
        mean, half = t_interval(own)
        std = float(np.std(own, ddof=1)) if len(own) > 1 else np.nan
        rows.append((place, mean, half, min(own), max(own), std))
    return Curve(*np.array(rows, dtype=np.float64).T)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
