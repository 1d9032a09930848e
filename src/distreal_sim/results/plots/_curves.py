"""Seeds that were evaluated at different places, as one mean curve with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distreal_sim.results.runs import OF_SCORE, Run
from distreal_sim.results.statistics import t_interval

Floats = NDArray[np.float64]


Band = Literal["ci", "std", "range", "none"]
"""What is drawn around a mean: its 95 % t-interval, one standard deviation to either side, or all seeds."""

IN_WORDS = {"ci": "band: 95 % interval", "std": "band: standard deviation", "range": "band: all seeds"}


class Curve(NamedTuple):
    """Mean over seeds at each x.

    half: half-width of its 95 % t-interval; std: standard deviation of the seeds (n - 1); both NaN with one
    seed. lowest, highest: of the seeds.
    """

    x: Floats
    mean: Floats
    half: Floats
    lowest: Floats
    highest: Floats
    std: Floats

    def band(self, kind: Band) -> tuple[Floats, Floats]:
        """(lower, upper) edge of a band; NaN where there is none."""
        if kind == "range":
            alone = np.isnan(self.std)
            return np.where(alone, np.nan, self.lowest), np.where(alone, np.nan, self.highest)
        nothing = np.full(len(self.x), np.nan)
        half = {"ci": self.half, "std": self.std, "none": nothing}[kind]
        return self.mean - half, self.mean + half


def name_of(runs: Sequence[Run]) -> str:
    """The score or the column of the runs, for an axis."""
    y, bare = runs[0].y, OF_SCORE.sub("", runs[0].y)
    if y in runs[0].scores:
        what = f"Test {y}" if runs[0].metric == "trained" else f"Test {y}, whole network"
    elif y.startswith("clients_"):
        what = ", ".join(filter(None, [f"Clients' {bare}", y.removeprefix(f"clients_{bare}").strip("_")]))
    else:
        what = f"{y.capitalize().replace('Macs', 'MACs')} of a round"
    return what.replace("_", " ")


def evaluations(run: Run, x: str) -> tuple[Floats, Floats]:
    """(x, score) at each evaluation; MACs and bytes are summed up to there."""
    along = run.rounds[x] if x in ("round", "sim_s") else run.rounds[x].cumsum()
    score = run.evaluated[run.y]
    return along[score.index].to_numpy(np.float64), score.to_numpy(np.float64)


def mean_curve(seeds: Sequence[tuple[Floats, Floats]]) -> Curve:
    """The mean of step functions: at each x where a seed was evaluated, every seed's last evaluation.

    It begins where all seeds have an evaluation and ends with the seed that ends first, so that each
    of its values is a mean over the same seeds.
    """
    begin = max(x[0] for x, _ in seeds)
    end = max(begin, min(x[-1] for x, _ in seeds))
    every = np.unique(np.concatenate([x for x, _ in seeds]))
    common = every[(every >= begin) & (every <= end)]
    values = np.array([y[np.searchsorted(x, common, side="right") - 1] for x, y in seeds])
    intervals = np.array([t_interval(column) for column in values.T]).reshape(-1, 2)
    alone = np.full(len(common), np.nan)
    std = values.std(axis=0, ddof=1) if len(seeds) > 1 else alone
    return Curve(common, intervals[:, 0], intervals[:, 1], values.min(axis=0), values.max(axis=0), std)
