"""Forecast of a run: round 1 in simulated time, and the wall-clock time from a few measured steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import numpy as np

from distreal_sim.base.errors import InputError, naming
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.client import do
from distreal_sim.client.messages import Round, Update
from distreal_sim.client.schedule import Moment, NeverDoneError
from distreal_sim.client.settings import Evaluation
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.devices.links import Use
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.simulation import evaluation
from distreal_sim.simulation.asked import jobs_of
from distreal_sim.simulation.rounds import start
from distreal_sim.thinning.masks import keep_counts, sample_mask
from distreal_sim.thinning.structure import Counts

REPEATS = 5
ENOUGH_WALL_S = 1.0
"""A measurement is the median of REPEATS, or of fewer once they took ENOUGH_WALL_S."""

CLEARLY_LESS = 0.9
"""Share of the full network's MACs below which a sub-network's step is measured too."""


@dataclass(frozen=True)
class Window:
    """One client's compute time in a round: from start_s, after the download, to end_s, before the upload."""

    sizes: list[int]
    start_s: float
    end_s: float
    macs_per_s: float

    def fits(self, macs_per_example: float) -> bool:
        """Whether the planned work would be done in time if the capacity of the start held."""
        moment = Moment(self.start_s, self.end_s, self.macs_per_s, self.sizes)
        return macs_per_example * moment.n_left <= moment.budget_macs


def window(task: Task, client_id: int, n_selected: int) -> Window:
    """The client's first round, with room for the whole model's way there and back."""
    sizes = batch_sizes(int(task.split.sizes[client_id]), task.local)
    link = task.devices.link(client_id, Use(1, 0.0, n_selected))
    model = task.traffic([p.numel() for p in task.module.parameters() if p.requires_grad])
    download_s = link.download_s(model.download_bytes)
    end_s = task.deadline_s - link.expected_upload_s(model.upload_bytes)
    return Window(sizes, download_s, end_s, task.devices.capacity(client_id, 0.0)(0.0))


def forecast(experiment: Experiment, task: Task, client_ids: Sequence[int]) -> list[Update]:
    """Round 1 of each client if it were selected: the method's work with it, timed but not computed.

    Raises InputError if the server would wait for a client forever.
    """
    method, timed = experiment.method, replace(task, computes=False)
    state = start(experiment, task).state
    lr = task.local.rate(1, experiment.rounds)
    jobs = jobs_of(
        method,
        timed,
        state,
        Round(1, experiment.rounds, 0.0, lr, tuple(client_ids), experiment.clients_per_round),
    )
    updates = []
    for job in jobs:
        with naming(f"profile {experiment.profile.name}, asked for client {job.client_id},"):
            task.devices.capacity(job.client_id, 0.0)(0.0)
        with naming(f"method {method.name}, timing client {job.client_id} in round 1,"):
            try:
                updates.append(do(timed, method, job))
            except NeverDoneError as error:
                raise InputError(
                    f"overrun wait: client {job.client_id} would keep the server waiting forever "
                    f"({error}); use drop or partial, or a profile without capacity 0"
                ) from None
    return updates


@dataclass(frozen=True)
class WallTimes:
    """Measured seconds of one process with one thread.

    steps: (training MACs per example, seconds of a step) of the sub-networks that were timed, cheapest first;
    job_wall_s: loading a job's arrays and exporting its update; the rest: per batch of the evaluation.
    """

    batch_size: int
    steps: tuple[tuple[int, float], ...]
    job_wall_s: float
    test_batch_wall_s: float
    statistics_batch_wall_s: float
    n_statistics_batches: int

    def step_wall_s(self, macs_per_example: float) -> float:
        """Interpolated between the timed sub-networks; outside them that of the nearest."""
        macs, seconds = zip(*self.steps, strict=True)
        return float(np.interp(macs_per_example, macs, seconds))

    def training_wall_s(self, updates: Sequence[Update]) -> float:
        """Mean seconds of a job over a forecast; lost work is never computed.

        A client's steps count with its mean MACs per example.
        """
        totals = [
            self.job_wall_s + u.n_steps * self.step_wall_s(u.facts.macs / u.coverage.n_examples)
            for u in updates
            if u.is_merged
        ]
        return sum(totals) / len(updates)

    def evaluation_wall_s(self, n_test: int, settings: Evaluation) -> float:
        """Seconds of one evaluation."""
        n_batches = math.ceil(n_test / settings.batch_size)
        return n_batches * self.test_batch_wall_s + self.n_statistics_batches * self.statistics_batch_wall_s


def measure(task: Task, cohort: Sequence[int], updates: Sequence[Update]) -> WallTimes:
    """Times real steps and evaluation batches of the task in this process.

    The steps are those of the client with the median number of examples: at full width, and with the front's
    median entry where there is a front, or else with the same share of all channels, of about the median
    cost of a forecast, where that is clearly below the full network's.
    """
    engine, rng = task.engine, Rngs(task.seed)("plan")
    arrays = engine.export()
    client_id = int(np.argsort(task.split.sizes, kind="stable")[len(task.split) // 2])
    size = batch_sizes(int(task.split.sizes[client_id]), task.local)[0]
    indices = task.split[client_id][:size]

    def step(counts: Counts) -> None:
        x, y = task.batch(task.data.train, indices)
        engine.step(x, y, sample_mask(task.structure, counts, rng), 0.0)

    full = task.structure.full_counts()
    timed = {task.macs_per_example(full): full}
    if task.front is not None:
        entry = median_entry(task.front)
        timed[entry.macs] = entry.counts
    elif (narrower := _typical(task, updates)) is not None:
        timed[task.macs_per_example(narrower)] = narrower
    steps = tuple((macs, _wall_s(partial(step, timed[macs]))) for macs in sorted(timed))

    def job() -> None:
        engine.load(arrays)
        engine.export()

    shards = evaluation.statistics_shards(task, cohort)
    statistics_wall_s, statistics = 0.0, evaluation.join_statistics([])
    if shards:
        draw = partial(evaluation.statistics_shard, task, arrays, 0, shards[0][0][:1], [0])
        statistics_wall_s, statistics = _wall_s(draw), evaluation.join_statistics([draw()])
    stop = min(task.evaluation.batch_size, len(task.data.test))
    return WallTimes(
        size,
        steps,
        _wall_s(job),
        _wall_s(partial(evaluation.test_shard, task, arrays, statistics, 0, stop)),
        statistics_wall_s,
        sum(len(draws) for _, draws in shards),
    )


def _typical(task: Task, updates: Sequence[Update]) -> Counts | None:
    """(G,) equal shares of all channels, at about the cost of a forecast's median client; or None."""
    costs = [u.facts.macs / u.coverage.n_examples for u in updates if u.is_merged]
    share = median(costs) / task.macs_per_example(task.structure.full_counts()) if costs else 1.0
    if share > CLEARLY_LESS:
        return None
    every = range(len(task.structure.groups))
    # Most layers cost the product of the channels that they read and write.
    return keep_counts(task.structure, np.full(len(every), 1 - math.sqrt(share)), tuple(every))


def median_entry(front: Front) -> Entry:
    """The entry of the vector in the middle, by the cost of a step."""
    return front.vectors[len(front.vectors) // 2]


def _wall_s(work: Callable[[], object]) -> float:
    work()
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < ENOUGH_WALL_S:
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return median(taken)
