"""Warnings about runs whose numbers say less than they seem to."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from distreal_sim.base.text import percent
from distreal_sim.client.energy import BATTERY
from distreal_sim.client.messages import Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.data.datasets import Data
from distreal_sim.fronts import fresh
from distreal_sim.fronts.front import Front
from distreal_sim.inspection.data import missing_classes
from distreal_sim.results.runs import Run
from distreal_sim.thinning.cost import n_parameters

FEW_PARAMETERS = 1000
"""Parameters below which a narrowed network is mentioned."""

Warn = Callable[[str], None]

PACKAGE = __name__.partition(".")[0]

MANY = 0.5
"""Share of rounds without a merged update, or of clients without a battery, from which on it is mentioned."""

ROW = 10
"""Rounds in a row without a merged update that are mentioned too."""

ENOUGH = 10
"""Selected clients of which one should complete its work."""


def python_warning(line: str) -> None:
    """For callers of functions from Python: names the first line that is not of this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(f"{PACKAGE}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(line, UserWarning, stacklevel=level)


def of_task(experiment: Experiment, task: Task) -> list[str]:
    """Warnings before anything runs: a front without a choice or below fewer full steps, a network of which
    little is left.
    """
    return [*_of_front(experiment, task), *_of_narrowed(experiment, task)]


def _of_narrowed(experiment: Experiment, task: Task) -> list[str]:
    if not task.is_narrowed:
        return []
    left, n_all = (n_parameters(s, s.full_counts()) for s in (task.structure, task.configured))
    groups = zip(task.structure.groups, task.configured.full_counts(), strict=True)
    single = [group.name for group, n in groups if group.channels == group.blocks < n]
    if left >= FEW_PARAMETERS and not single:
        return []
    where = single[0] if len(single) == 1 else f"{len(single)} groups"
    kept = f", and 1 filter in {where}" if single else ""
    return [
        f"warning: method {experiment.method.name} leaves {left:,} of {n_all:,} parameters{kept}; a wider "
        "network may do better even where the weakest clients are late: tune its width"
    ]


def _of_front(experiment: Experiment, task: Task) -> list[str]:
    if task.front is None:
        return []
    method = experiment.method
    if task.front.thins:
        known = worth_is_known(experiment, task.front)
        if differs := searched_otherwise(experiment, task.front):
            had, has = (", ".join(f"{key}={pair[i]}" for key, pair in differs.items()) for i in (0, 1))
            pays = "" if known else ", and where it pays is not known"
            return [
                f"warning: the front of method {method.name} was searched with {had}; with {has} its scores "
                f"may be others{pays}"
            ]
        rival = (
            experiment.overrun != "drop" and experiment.cost == "macs"
        )  # fewer full steps, of the same MACs
        below = fresh.where_it_loses(task.front.made) if known and rival else None
        return [] if below is None else [f"warning: the front of method {method.name} {below}"]
    if not task.structure.thinnable(True):
        why = f"model {experiment.model.name} has no hidden layer that could be thinned"
    elif not task.structure.thinnable(getattr(method, "drop_linear", True)):
        why = "hidden linear layers are all there is to thin: set method.drop_linear to true"
    elif task.front.has_shares:
        why = "its search found no thinned vector that is worth more than fewer full steps"
    else:
        why = "give it others under method.front"
    return [
        f"warning: the front of method {method.name} has the zero vector only, so nothing is thinned and "
        f"every client trains the whole network, as fedavg does; {why}"
    ]


def searched_otherwise(experiment: Experiment, front: Front) -> dict[str, tuple[object, object]]:
    """By key what the search of the front had and the experiment has, where that decides about scores."""
    plain = experiment.resolved()
    return fresh.searched_otherwise(front.made, plain["dataset"], plain["method"])


def worth_is_known(experiment: Experiment, front: Front) -> bool:
    """Whether what the file says of the front's worth is of the experiment's data and filters."""
    plain = experiment.resolved()
    return not fresh.measured_otherwise(front.made, plain["dataset"], plain["method"])


def of_data(data: Data) -> list[str]:
    """Warnings before a run: classes that one split lacks; `check` says more about the data."""
    return [f"warning: {line}" for line in missing_classes(data)]


def of_round_1(updates: Sequence[Update]) -> list[str]:
    """Warnings before anything runs, from a forecast of round 1: nobody's work would be merged."""
    if any(update.is_merged for update in updates):
        return []
    return ["warning: in round 1 nothing would be merged: no client finishes in time"]


def of_world(run: Run) -> list[str]:
    """Warnings after a run, or after its replay without training: nobody finishes, nothing is merged for many
    rounds, batteries are down.
    """
    rounds = run.rounds
    lines, n_merged = of_rounds(run.path), rounds["n_completed"] + rounds["n_partial"]
    n_selected = int(rounds["n_selected"].sum())
    if n_merged.any() and not rounds["n_completed"].any() and n_selected >= ENOUGH:
        lines.append(
            f"warning: not one of {n_selected:,} selected clients completed its work; all "
            "that was merged is partial"
        )
    if ROW <= (longest := _longest(n_merged.eq(0))) < MANY * len(rounds):
        lines.append(f"warning: nothing was merged in {longest} rounds in a row")
    if BATTERY[1].name in rounds:
        share = float((run.clients["status"] == "battery").mean())
        if share >= MANY:
            lines.append(
                f"warning: {percent(share)} of the selected clients had no battery left for their work: they "
                "are charged too little, or selected too often"
            )
    return lines


def of_thinning(run: Run, experiment: Experiment, task: Task) -> list[str]:
    """A warning after a run or its replay if the method could thin and never did."""
    method, rates = experiment.method, run.clients["mean_keep_rate"].dropna()
    could = method.trains_parts and method.thins and (task.front is None or task.front.thins)
    if not could or not len(rates) or (rates < 1).any():
        return []
    return [
        f"warning: method {method.name} never thinned: every finished step trained the whole network, as "
        "with fedavg; the devices are too strong, or deadline_s is too long, to tell them apart"
    ]


def _longest(empty: pd.Series) -> int:
    """The most rounds in a row that are True."""
    return int(empty.groupby((~empty).cumsum()).sum().max())


def of_rounds(directory: Path) -> list[str]:
    """Warnings after a run: rounds in which no client's work was merged."""
    with (directory / "rounds.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    empty = [row for row in rows if not int(row["n_completed"]) + int(row["n_partial"])]
    if not empty or len(empty) < MANY * len(rows):
        return []
    selected, dropped, diverged = (
        sum(int(row.get(f"n_{what}", 0)) for row in empty) for what in ("selected", "dropped", "diverged")
    )
    out = selected - dropped - diverged if "n_dropped" in empty[0] else 0
    why = "no client finished in time"
    if not selected:
        why = "no client was available"
    elif out:
        of = "memory or battery" if BATTERY[1].name in empty[0] else "memory"
        why = f"every client was out of {of}" + ("" if out == selected else ", or late")
    elif diverged:
        why = "every update diverged" if diverged == selected else "every update was late or diverged"
    if len(empty) < len(rows):
        return [f"warning: nothing was merged in {len(empty)} of {len(rows)} rounds: {why}"]
    rounds = f"any of the {len(rows)} rounds" if len(rows) > 1 else "the only round"
    return [f"warning: nothing was merged in {rounds}, so the network is the initial one: {why}"]
