"""The simulated clock alone: rounds are planned and timed, and nothing is computed.

Where the method says what its clients choose from (`Method.ladder`), thousands of client-rounds are timed at
once; the rounds whose beginning is known are all there at the same time, as nothing is learnt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from distreal_sim.base.plugins import answers_for
from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.methods import Method, train_client
from distreal_sim.simulation.clock.clients import TimedClients
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.rounds import Progress, Recorder, on_schedule, round_duration, simulate
from distreal_sim.simulation.rows import ClientRows, RoundRow, Timing
from distreal_sim.submodels.levels import Ladder
from distreal_sim.thinning.structure import Counts

CLIENT_ROUNDS = 65_536
"""How many are timed at once: enough to forget what a call of numpy costs, in some 150 MB of memory."""


def run_clock(
    experiment: Experiment,
    task: Task,
    progress: Progress,
    recorder: Recorder,
    on_round: Callable[[RoundRow], None] = lambda row: None,
) -> Progress:
    """Times the rounds after `progress` to the end, recording and committing on the way."""
    ladder = known_ladder(experiment.method, task, progress)
    if ladder is None:
        fleet = TimedFleet(task, experiment.method)
        return simulate(experiment, task, fleet, progress, recorder, on_round)
    clients = TimedClients(task, ladder, experiment.method.overrun)
    at_once = max(1, CLIENT_ROUNDS // experiment.clients_per_round) if on_schedule(experiment) else 1
    n_uncommitted = 0
    while progress.round_number < experiment.rounds:
        n_rounds = min(at_once, experiment.rounds - progress.round_number)
        progress, rows = time_rounds(experiment, clients, progress, recorder, n_rounds)
        n_uncommitted += n_rounds * experiment.clients_per_round
        if n_uncommitted >= CLIENT_ROUNDS or progress.round_number == experiment.rounds:
            recorder.commit(progress, {})
            n_uncommitted = 0
        for row in rows:
            on_round(row)
    return progress


def known_ladder(method: Method, task: Task, progress: Progress) -> Ladder | None:
    """What the method says that its clients choose from; None if it does not, or not of its own `train`."""
    if not answers_for(method, "ladder", "train"):
        return None
    return method.ladder(task, progress.state.arrays)


def time_rounds(
    experiment: Experiment, clients: TimedClients, before: Progress, recorder: Recorder, n_rounds: int
) -> tuple[Progress, list[RoundRow]]:
    """The next rounds at once; several only if they are on schedule."""
    start_wall_s = time.perf_counter()
    deadline_s = experiment.deadline_s
    numbers = range(before.round_number + 1, before.round_number + n_rounds + 1)
    cohorts = [select_cohort(experiment, clients.task, number) for number in numbers]
    bounds = np.cumsum([0, *map(len, cohorts)])
    round_of = np.repeat(numbers, np.diff(bounds))
    scheduled = on_schedule(experiment)
    start_s = (round_of - 1) * deadline_s if scheduled else np.full(len(round_of), before.sim_s)
    facts, capacities = clients.facts(np.concatenate(cohorts).astype(np.int64), start_s)
    duration_s = deadline_s if scheduled else round_duration(experiment, facts["sim_s"].tolist())
    offered = capacities.offered(np.full(len(round_of), duration_s))
    rows = ClientRows({"round": round_of, **facts, "macs_available": offered})
    wall_s = (time.perf_counter() - start_wall_s) / n_rounds
    found = []
    for number, start, stop in zip(numbers, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        end_s = number * deadline_s if scheduled else before.sim_s + duration_s
        found.append(RoundRow.of(number, end_s, None, None, rows[start:stop]))
        recorder.write(found[-1], rows[start:stop], Timing(number, wall_s, 0.0))
    return Progress(numbers[-1], found[-1].sim_s, before.state, before.statistics), found


class TimedFleet:
    """Clients whose jobs are timed in this process; their updates hold no arrays. task.computes is False."""

    def __init__(self, task: Task, method: Method) -> None:
        assert not task.computes
        self._task, self._method = task, method
        self._memories: dict[int, Arrays] = {}

    def train(self, jobs: Sequence[Job]) -> Iterator[Update]:
        """One update per job, in the order of the jobs."""
        task = self._task
        for job in jobs:
            known = replace(job, memory=self._memories.get(job.client_id, {}))
            rngs = Rngs(task.seed, (job.round_number, job.client_id))
            update = train_client(self._method, task, known, rngs)
            if update.memory is not None:
                self._memories[job.client_id] = update.memory
            yield update

    def statistics(
        self, arrays: Arrays, round_number: int, client_ids: Sequence[int], counts: Counts | None = None
    ) -> Arrays:
        """There is nothing to test."""
        return {}

    def evaluate(
        self, arrays: Arrays, statistics: Arrays, round_number: int, counts: Counts | None = None
    ) -> tuple[float, float]:
        """Never asked: a model that was not trained is not tested."""
        raise NotImplementedError

    def contexts(self) -> dict[int, bytes]:
        """Nothing: a timed run is not resumed but repeated."""
        return {}

    def restore(self, contexts: dict[int, bytes]) -> None:
        """There is nothing to restore."""
