"""The simulated clock alone: rounds are planned and timed, but nothing is trained.

Where the method declares the levels of its clients (`Method.levels`), and these stay for their whole round,
thousands of client-rounds are timed at once, unless their energy depends on more than MACs, or their memory
or their batteries are limited. Rounds with a known start are timed together: without training no round
depends on the one before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.base.errors import naming
from distreal_sim.base.plugins import answers_for
from distreal_sim.client.client import do
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.devices.links import Use
from distreal_sim.methods import Method, levels_of
from distreal_sim.simulation.callbacks import OnRound, StopRun, unseen
from distreal_sim.simulation.client_scores import score_columns
from distreal_sim.simulation.clock.clients import TimedClients
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.rounds import Progress, Recorder, Simulation, simulate
from distreal_sim.simulation.rows import ClientRows, RoundRow, Timing
from distreal_sim.simulation.steps import play_step
from distreal_sim.simulation.watch import Watch
from distreal_sim.submodels.levels import Levels, charged
from distreal_sim.submodels.submodel import SubModel

CLIENT_ROUNDS = 65_536
"""Client-rounds timed at once: enough to make the overhead of numpy calls negligible, in about 150 MB."""


def run_clock(
    experiment: Experiment,
    task: Task,
    progress: Progress,
    recorder: Recorder,
    on_round: OnRound = unseen,
    watch: Watch | None = None,
) -> Progress:
    """Times all rounds after `progress`, recording and committing them, or as many as `watch` wants."""
    sim = Simulation(experiment, task, TimedFleet(task, experiment.method), recorder)
    if not experiment.coordination.in_rounds:
        return simulate(sim, progress, on_round, watch, play=play_step)
    levels = known_levels(experiment.method, task)
    energy = task.devices.energy
    one_by_one = (
        experiment.selection.asks
        or task.devices.come_and_go
        or task.devices.controller.acts
        or task.devices.have_batteries
        or (energy.counts and experiment.link.radios)
        or task.devices.memory.limits
        or (energy.counts and not energy.by_macs)
    )
    if levels is None or one_by_one:
        return simulate(sim, progress, on_round, watch)
    watch = Watch(experiment, task.scoring.better) if watch is None else watch
    clients = TimedClients(task, levels)
    together = sim.on_schedule and not experiment.selection.remembers and experiment.stop is None
    at_once = max(1, CLIENT_ROUNDS // experiment.clients_per_round) if together else 1
    n_uncommitted = 0
    while progress.round_number < experiment.rounds and not watch.ended:
        n_rounds = min(at_once, experiment.rounds - progress.round_number)
        progress, rows = time_rounds(sim, clients, progress, n_rounds)
        n_uncommitted += n_rounds * experiment.clients_per_round
        for row in rows:
            watch.see(row.cells)
        is_last = progress.round_number == experiment.rounds or watch.ended is not None
        if n_uncommitted >= CLIENT_ROUNDS or is_last:
            recorder.commit(progress, {})
            n_uncommitted = 0
        for row in rows:
            try:
                on_round(row, progress.state)
            except StopRun:
                if row.round < experiment.rounds:
                    recorder.commit(progress, {})
                    raise
    return progress


def known_levels(method: Method, task: Task) -> Levels | None:
    """The method's levels; None if it declares none, or if a subclass changes `train` but not `levels`."""
    newer = ("train", "own_levels", "examples")
    if not all(answers_for(method, "levels", other) for other in newer):
        return None
    with naming(f"method {method.name}"):
        levels = levels_of(method, task)
    return None if levels is None else charged(task, levels)


def time_rounds(
    sim: Simulation, clients: TimedClients, before: Progress, n_rounds: int
) -> tuple[Progress, list[RoundRow]]:
    """Times the next n_rounds rounds at once; more than one only if rounds are on schedule."""
    start_wall_s = time.perf_counter()
    experiment, deadline_s = sim.experiment, sim.task.deadline_s
    numbers = range(before.round_number + 1, before.round_number + n_rounds + 1)
    starts = [(n - 1) * deadline_s if sim.on_schedule else before.sim_s for n in numbers]
    chosen = [
        select_cohort(experiment, clients.task, n, at_s, before.selection)
        for n, at_s in zip(numbers, starts, strict=True)
    ]
    cohorts, memory = [cohort for cohort, _ in chosen], chosen[-1][1]
    bounds = np.cumsum([0, *map(len, cohorts)])
    round_of = np.repeat(numbers, np.diff(bounds))
    scheduled = sim.on_schedule
    start_s = (round_of - 1) * deadline_s if scheduled else np.full(len(round_of), before.sim_s)
    n_selected = np.repeat(np.diff(bounds), np.diff(bounds))
    use = Use(round_of, start_s, n_selected)
    facts, capacities = clients.facts(np.concatenate(cohorts).astype(np.int64), use)
    duration_s = deadline_s if scheduled else sim.duration_s(facts["sim_s"].tolist())
    offered = capacities.offered(np.full(len(round_of), duration_s))
    own = experiment.columns
    unknown = {c.name: np.full(len(round_of), math.nan) for c in experiment.method.columns}
    rows = ClientRows({"round": round_of, **facts, "macs_available": offered, **unknown})
    wall_s = (time.perf_counter() - start_wall_s) / n_rounds
    found = []
    for number, start, stop in zip(numbers, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        end_s = number * deadline_s if scheduled else before.sim_s + duration_s
        found.append(RoundRow.of(number, end_s, None, rows[start:stop], own, *score_columns(sim.task)))
        sim.recorder.write(found[-1], rows[start:stop], Timing(number, wall_s, 0.0))
    if experiment.selection.remembers:
        memory = experiment.selection.learn(memory, numbers[-1], list(rows))
    return Progress(numbers[-1], found[-1].sim_s, before.state, before.statistics, selection=memory), found


class TimedFleet:
    """Clients whose jobs are timed in this process; their updates hold no arrays. task.computes is False."""

    def __init__(self, task: Task, method: Method) -> None:
        assert not task.computes
        self._task, self._method = task, method
        self._memories: dict[int, Arrays] = {}

    def publish(self, arrays: Arrays) -> Arrays:
        """The arrays themselves: they are never read."""
        return arrays

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """One update per job, in the order of the jobs."""
        return map(self.result, jobs)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Nothing yet: a job is timed when its result is asked for."""

    def result(self, job: Job) -> Update:
        """The update of a job, timed now."""
        known = replace(job, memory=self._memories.get(job.client_id, {}))
        update = do(self._task, self._method, known)
        if update.memory is not None:
            self._memories[job.client_id] = update.memory
        return update

    def withdraw(self, jobs: Sequence[Job]) -> None:
        """Nothing: the jobs were not begun."""

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], part: SubModel | None = None
    ) -> Arrays:
        """No statistics: nothing is tested."""
        return {}

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, part: SubModel | None = None
    ) -> dict[str, np.ndarray]:
        """Never called: a model that was not trained is not tested."""
        raise NotImplementedError

    def evaluate_clients(
        self, arrays: Arrays, statistics: Arrays, round_number: int
    ) -> dict[int, dict[str, float]]:
        """Never called: a model that was not trained is not tested."""
        raise NotImplementedError

    def contexts(self) -> dict[int, bytes]:
        """Nothing: a timed run is repeated, not resumed."""
        return {}

    def restore(self, contexts: dict[int, bytes]) -> None:
        """Does nothing: a timed run is repeated, not resumed."""
