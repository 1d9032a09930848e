"""Methods compared under equal settings: their rank, and their gain over a baseline, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from distreal_sim.base.errors import unknown
from distreal_sim.results.directories import group
from distreal_sim.results.runs import Run
from distreal_sim.results.statistics import default_targets, t_interval, time_to_accuracy


def compare(
    runs: Sequence[Run], targets: Sequence[float] | None = None, baseline: str | None = None
) -> pd.DataFrame:
    """`time_to_accuracy`'s table for each setting, below one another, and how the methods compare there.

    The swept keys of the setting are the first columns, with `(swept)` after one that has the name of
    another column. `rank`: by final score, 1 is the best, equals share theirs. With a baseline (a
    label; where not given, the sweep's own): `difference`, final score minus the baseline's, mean over
    the seeds that both have; `difference_ci95`, half-width of the 95 % t-interval of that paired
    difference; `pairs`, the number of those seeds. Raises InputError for an unknown baseline.
    """
    variants = {run.variant: None for run in runs}
    place = runs[0].place if runs else None
    baseline = baseline or (place.baseline if place is not None else None)
    if baseline is not None and baseline not in variants:
        raise unknown("baseline", baseline, variants)
    if targets is None:
        targets = (place.targets if place is not None else ()) or default_targets(runs)
    parts = []
    for setting, below in by_setting(runs):
        named = [replace(run, label=run.variant) for run in below]
        part = time_to_accuracy(named, targets)
        for column, (key, value) in enumerate(setting.items()):
            part.insert(column, f"{key} (swept)" if key in part.columns else key, value)
        part["rank"] = part[f"final_{runs[0].y}"].rank(ascending=runs[0].lower, method="min")
        if baseline is not None:
            part = part.assign(**_differences(group(named), baseline))
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def by_setting(runs: Sequence[Run]) -> list[tuple[Mapping[str, str], list[Run]]]:
    """Runs by the swept keys under which they are compared, in the order of the runs."""
    found: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        found.setdefault(tuple(run.setting.items()), []).append(run)
    return [(dict(setting), below) for setting, below in found.items()]


def _differences(groups: Mapping[str, Sequence[Run]], baseline: str) -> dict[str, list[float]]:
    """Columns of the paired differences, a row for each group; NaN for the baseline itself."""
    reference = _final(groups.get(baseline, ()))
    columns: dict[str, list[float]] = {"difference": [], "difference_ci95": [], "pairs": []}
    for label, seeds in groups.items():
        own = _final(seeds) if label != baseline else {}
        both = sorted(own.keys() & reference.keys())
        mean, half = t_interval(own[seed] - reference[seed] for seed in both)
        for column, value in zip(columns.values(), (mean, half, len(both) or math.nan), strict=True):
            column.append(value)
    return columns


def _final(seeds: Sequence[Run]) -> dict[int, float]:
    """Final accuracy by seed."""
    return {run.seed: run.final() for run in seeds if len(run.evaluated)}
