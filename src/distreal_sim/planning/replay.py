"""One experiment without training: its rounds and clients, its sub-networks, the deadline that it needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from distreal_sim.client.messages import STATUSES, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.results.runs import Run, read_run
from distreal_sim.simulation.clock.rounds import TimedFleet, known_levels, run_clock
from distreal_sim.simulation.play import order_of, play
from distreal_sim.simulation.rounds import Progress, Simulation, simulate, start
from distreal_sim.simulation.rows import ClientRow, ClientRows, RoundRow, Timing
from distreal_sim.simulation.run_directory import RunDirectory
from distreal_sim.thinning.cost import training_macs
from distreal_sim.thinning.structure import Counts

ROUNDS_WATCHED = 20
"""Rounds whose steps are looked at one by one."""

CLIENT_ROUNDS_TRIED = 2000
"""Client-rounds for each deadline that is tried, or one round."""

PRECISION = 1.01
"""Largest ratio of the deadline that is found to the shortest one that does."""

MOST_DOUBLINGS = 20
"""Of the deadline, where it is too short."""

MOST_DOUBLINGS_WITH_ABSENCES = 7
"""The same where clients come and go, at times that do not depend on the deadline: each of them is looked at,
and many clients whose work is lost when they leave complete it with no deadline.
"""


def replay(experiment: Experiment, task: Task, path: Path) -> Run:
    """Times every round of the experiment into a run directory at `path`.

    Its tables have the bytes of a trained run's wherever a column does not depend on training.
    """
    directory = RunDirectory(path, experiment, resume=False, training=False)
    directory.costs = experiment.costs
    try:
        play(directory, experiment, replace(task, computes=False), None)
    finally:
        directory.close()
    run = read_run(path)
    assert run is not None
    return run


class Unrecorded:
    """Keeps the clients' statuses only."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()

    def write(self, row: RoundRow, rows: Sequence[ClientRow], timing: Timing) -> None:
        """Counts the clients of a round."""
        self.statuses.update({"selected": row.n_selected, "completed": row.n_completed})
        status = ClientRows.of(rows).columns["status"]
        self.statuses["out_of_memory"] += int((status == STATUSES.index("out_of_memory")).sum())

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        """Does nothing."""


class Watched(TimedFleet):
    """Counts the finished steps by their MACs per example."""

    def __init__(self, task: Task, experiment: Experiment) -> None:
        super().__init__(task, experiment.method)
        self.n_steps: Counter[int] = Counter()

    def result(self, job: Job) -> Update:
        """As in a timed run."""
        update = super().result(job)
        covered = update.coverage
        self.n_steps.update((covered.macs // np.maximum(covered.examples, 1)).tolist())
        return update


def picked(experiment: Experiment, task: Task) -> pd.DataFrame:
    """The sub-networks of the steps that are finished in the first ROUNDS_WATCHED rounds, cheapest first.

    Columns: macs_share, the MACs of a step as a share of those of the config's whole network; steps_share;
    kept, a tuple with the share of the channels of each group that stay, or None where the method does not
    say beforehand, or has several sub-networks of this cost.
    """
    short = experiment.model_copy(update={"rounds": min(experiment.rounds, ROUNDS_WATCHED)})
    timed = replace(task, computes=False)
    fleet = Watched(timed, short)
    sim = Simulation(short, timed, fleet, Unrecorded())
    simulate(sim, start(short, timed), play=order_of(short))
    levels = known_levels(experiment.method, timed)
    counts_at: dict[int, set[Counts]] = {}
    for level in levels.levels if levels else ():
        counts_at.setdefault(level.macs_per_example, set()).add(level.counts)
    kept = {macs: counts.pop() for macs, counts in counts_at.items() if len(counts) == 1}
    full = training_macs(task.configured, task.configured.full_counts())
    n_all = sum(fleet.n_steps.values())
    rows = [
        (macs / full, n / n_all, _shares(task, kept[macs]) if macs in kept else None)
        for macs, n in sorted(fleet.n_steps.items())
    ]
    return pd.DataFrame(rows, columns=["macs_share", "steps_share", "kept"])


def _shares(task: Task, counts: Counts) -> tuple[float, ...]:
    return tuple(n / of for n, of in zip(counts, task.configured.full_counts(), strict=True))


def deadline_for(experiment: Experiment, task: Task, completion: float) -> float:
    """The shortest deadline_s, to 1 %, with which that share of the selected clients completes its work.

    The devices stay as they are, in MAC/s, whatever the unit of their levels. NaN where even a deadline a
    million times longer is too short, as for clients without capacity, or a hundred times where clients
    come and go; where too many clients have no memory for their work, or none is selected; and with
    batteries, which a longer round does not fill.
    """
    if task.overrun == "wait" or task.devices.have_batteries:
        return math.nan
    n_rounds = max(1, CLIENT_ROUNDS_TRIED // experiment.clients_per_round)
    short = experiment.model_copy(update={"rounds": min(experiment.rounds, n_rounds)})

    seen = Unrecorded()

    def enough(deadline_s: float) -> bool:
        nonlocal seen
        seen = Unrecorded()
        timed = replace(task, computes=False, deadline_s=deadline_s)
        run_clock(short, timed, start(short, timed), seen)
        return seen.statuses["completed"] >= completion * seen.statuses["selected"]

    high = low = task.deadline_s
    if enough(high):
        if not seen.statuses["selected"]:
            return math.nan
        while enough(low := low / 2) and low > task.deadline_s / 2**MOST_DOUBLINGS:
            high = low
    else:
        most = MOST_DOUBLINGS_WITH_ABSENCES if task.devices.come_and_go else MOST_DOUBLINGS
        if (
            seen.statuses["selected"] - seen.statuses["out_of_memory"]
            < completion * seen.statuses["selected"]
        ):
            return math.nan
        while not enough(high := high * 2):
            low = high
            if high > task.deadline_s * 2**most:
                return math.nan
    while high / low > PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
