"""What a run watches while it goes on: which of its models is the best, and whether it ends early.

Both are functions of the rows of rounds.csv, so that a resumed run decides as one that was never cut short.
Of tests only those on schedule count: the last round is another one in a longer run.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distreal_sim.base.errors import InputError, nearest
from distreal_sim.config import Experiment
from distreal_sim.config.watched import Best, Goal, Stop
from distreal_sim.recipe.metrics import Better
from distreal_sim.simulation.client_scores import client_columns
from distreal_sim.simulation.rows import SUBMODEL, TEST, round_columns

Row = Mapping[str, Any]
"""A row of rounds.csv by column; values are numbers or None."""


def check_watched(experiment: Experiment, scores: Mapping[str, Better]) -> None:
    """Raises InputError where a watched metric is no column of the run's rounds.csv, or has no goal.

    scores: what its tests measure, and which values of it are better.
    """
    of_clients = client_columns(scores) if experiment.evaluation.clients else []
    columns = [name for name in round_columns(experiment.columns, scores, of_clients) if name != "round"]
    for key in ("stop", "best"):
        watched = getattr(experiment, key)
        if watched is None or (isinstance(watched, Stop) and not watched.by_tests):
            continue
        if watched.metric not in columns:
            raise InputError(
                f"{key}.metric = '{watched.metric}' is no column of rounds.csv"
                f"{nearest(watched.metric, columns)} (valid: {', '.join(columns)})"
            )
        if goal_of(watched, scores) is None:
            raise InputError(
                f"{key}.goal is missing: give max or min, whichever is better for metric '{watched.metric}'"
            )


def goal_of(watched: Best | Stop, scores: Mapping[str, Better]) -> Goal | None:
    """Whether larger or smaller values of the watched metric are better; None where that is not known."""
    if watched.goal is not None:
        return watched.goal
    for name, better in scores.items():
        if watched.metric in (TEST + name, SUBMODEL + name, *client_columns([name])):
            return "max" if better == "higher" else "min"
    return "min" if watched.metric.endswith("loss") else None


@dataclass
class Peak:
    """The best value of a metric so far: its round (0: none yet), and how many later ones were not better.

    min_delta: a value is better if it is so by more than this.
    """

    metric: str
    goal: Goal | None
    min_delta: float = 0.0
    value: float = math.nan
    round: int = 0
    n_since: int = 0

    def see(self, row: Row) -> bool:
        """Takes the next row; whether it has the best value. A row without a value does not count."""
        value = row[self.metric]
        if value is None:
            return False
        gain = value - self.value if self.goal == "max" else self.value - value
        if gain > self.min_delta or (self.round == 0 and not math.isnan(value)):
            self.value, self.round, self.n_since = value, int(row["round"]), 0
            return True
        self.n_since += 1
        return False


class Watch:
    """A run's `best` and `stop`.

    scores: see `check_watched`; rows: those that it has already; ended: why it ends early, if it does.
    """

    def __init__(
        self, experiment: Experiment, scores: Mapping[str, Better], rows: Iterable[Row] = ()
    ) -> None:
        best, self._stop = experiment.best, experiment.stop
        self._evaluation = experiment.evaluation
        self._best = None if best is None else Peak(best.metric, goal_of(best, scores))
        self.ended: str | None = None
        self._spent: dict[str, float] = {}
        if self._stop is not None:
            self._spent = dict.fromkeys(self._stop.budget.limits, 0.0)
            goal = goal_of(self._stop, scores)
            self._peak = Peak(self._stop.metric, goal, self._stop.min_delta)
        for row in rows:
            self.see(row)

    def see(self, row: Row) -> bool:
        """Takes the next round; whether its model is the best one so far."""
        due, stop = self._evaluation.due(int(row["round"])), self._stop
        if stop is not None and self.ended is None:
            if due and stop.by_tests and row[stop.metric] is not None:
                self._peak.see(row)
                self.ended = _reason(stop, self._peak, int(row["round"]), row[stop.metric])
            self._spend(row, stop)
        return due and self._best is not None and self._best.see(row)

    def _spend(self, row: Row, stop: Stop) -> None:
        """Adds the costs of a round; the run ends if a budget is spent."""
        number = int(row["round"])
        for name, limit in stop.budget.limits.items():
            before = 0.0 if name == "sim_s" else self._spent[name]
            self._spent[name] = spent = before + (row[name] or 0.0)
            if spent >= limit and number >= stop.after and self.ended is None:
                self.ended = f"round {number}: {name} reached {spent:.6g}, its budget is {limit:.6g}"

    def notes(self) -> dict[str, Any]:
        """What run.json says of it at the end."""
        found: dict[str, Any] = {} if self.ended is None else {"stopped_early": self.ended}
        if self._best is not None and self._best.round:
            found["best"] = {"round": self._best.round, self._best.metric: self._best.value}
        return found


def _reason(stop: Stop, peak: Peak, number: int, value: float) -> str | None:
    """Why a run ends after this round; None where it goes on."""
    if number < stop.after:
        return None
    if stop.target is not None and (value >= stop.target if peak.goal == "max" else value <= stop.target):
        return f"round {number}: {stop.metric} reached {value:.6g}"
    if stop.patience is not None and peak.n_since >= stop.patience:
        best = f"{peak.value:.6g} of round {peak.round}" if peak.round else "a number"
        tests = "1 test" if stop.patience == 1 else f"{stop.patience} tests"
        return f"round {number}: {tests} without a better {stop.metric} than {best}"
    return None


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a rounds.csv; an empty cell is None."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield {name: float(cell) if cell else None for name, cell in row.items()}
