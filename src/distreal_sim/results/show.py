"""What runs came to: their table, and their figure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from distreal_sim.results.compare import compare
from distreal_sim.results.fleets import different_fleets, level_1_of
from distreal_sim.results.runs import Metric, Run, find_runs
from distreal_sim.results.statistics import time_to_accuracy

if TYPE_CHECKING:
    from distreal_sim.results.plots import Figure

Directories = str | Path | Iterable[str | Path]


def table(
    directories: Directories,
    targets: Sequence[float] | None = None,
    baseline: str | None = None,
    metric: Metric = "trained",
    n_last: int = 1,
) -> pd.DataFrame:
    """Final accuracy and time to accuracy per method: mean and 95 % interval over seeds; in a sweep ranks.

    directories: runs, or folders of them. targets: accuracies to reach; by default the sweep's, or round
    numbers that are in reach. baseline: the method that the others are compared with, seed by seed; by
    default the sweep's. metric, n_last: see `load_runs`. Raises InputError where there is no run.
    """
    runs = _compared(directories, metric, n_last)
    if baseline is not None or runs[0].place is not None:
        return compare(runs, targets or None, baseline)
    return time_to_accuracy(runs, targets or None)


def plot(
    directories: Directories,
    x: Literal["sim_s", "round", "macs", "upload_bytes"] = "sim_s",
    targets: Sequence[float] | None = None,
    metric: Metric = "trained",
    out: str | Path | None = None,
) -> Figure:
    """Accuracy against simulated time, a line per method, mean and 95 % band over seeds.

    The runs of a sweep get a panel for each of its settings. directories: runs, or folders of them. targets:
    accuracies to mark, by default the sweep's. metric: see `load_runs`. out: a .png, .pdf or .svg.
    """
    from distreal_sim.results.plots.accuracy import accuracy  # matplotlib takes a second to import

    runs = _compared(directories, metric)
    place = runs[0].place
    marked = targets or (place.targets if place is not None else ())
    return accuracy(runs, x=x, targets=marked, out=None if out is None else Path(out))


def _compared(directories: Directories, metric: Metric, n_last: int = 1) -> list[Run]:
    """The runs; on stderr a warning where their fleets differ."""
    tops = [directories] if isinstance(directories, str | Path) else directories
    runs = find_runs([Path(top) for top in tops], metric, n_last)
    for line in different_fleets(level_1 for run in runs if (level_1 := level_1_of(run)) is not None):
        print(line, file=sys.stderr)
    return runs
