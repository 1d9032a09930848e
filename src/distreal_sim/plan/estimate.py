"""What a run will do and how long that will take: a forecast of round 1, and a few measured steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from distreal_sim import evaluation
from distreal_sim.batches import batch_sizes
from distreal_sim.errors import InputError
from distreal_sim.front import Entry, Front
from distreal_sim.rng import Rngs
from distreal_sim.schedule import Moment, NeverDoneError, Overrun, Schedule, schedule
from distreal_sim.settings import Evaluation
from distreal_sim.task import Task, network_bytes
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.types import Counts

REPEATS = 5
ENOUGH_WALL_S = 1.0
"""A measurement is the median of REPEATS, or of fewer once they took ENOUGH_WALL_S."""


@dataclass(frozen=True)
class Window:
    """One client's compute time in a round: from start_s, after the download, to end_s, before the upload."""

    sizes: list[int]
    start_s: float
    end_s: float
    macs_per_s: float

    def fits(self, macs_per_example: int) -> bool:
        """Whether the planned work would be done in time if the capacity of the start held."""
        moment = Moment(self.start_s, self.end_s, self.macs_per_s, self.sizes)
        return macs_per_example * moment.n_left <= moment.budget_macs


def window(task: Task, client_id: int) -> Window:
    """The client's first round."""
    sizes = batch_sizes(int(task.split.sizes[client_id]), task.local)
    link = task.link(client_id)
    model_bytes = network_bytes(task.module)
    sent_bytes = model_bytes + coverage_bytes(task, len(sizes))
    download_s = model_bytes / link.download_bytes_per_s
    end_s = task.deadline_s - sent_bytes / link.upload_bytes_per_s
    return Window(sizes, download_s, end_s, task.capacity(client_id, 0.0)(0.0))


def coverage_bytes(task: Task, n_steps: int) -> int:
    """Most bytes that say which steps kept which channels: a bit each; 0 for methods without a front."""
    if task.front is None:
        return 0
    return sum(math.ceil(n_steps * group.channels / 8) for group in task.structure.groups)


def forecast(task: Task, overrun: Overrun, client_ids: Sequence[int]) -> list[Schedule]:
    """Round 1 of each client if it were selected: the best entry of the front that fits, or the full network.

    Raises InputError if the server would wait for a client for ever.
    """
    plans = []
    for client_id in client_ids:
        frame = window(task, client_id)
        try:
            plans.append(
                schedule(
                    frame.sizes,
                    task.capacity(client_id, 0.0),
                    task.macs_per_example,
                    _choice(task.front, task.structure.full_counts()),
                    start_s=frame.start_s,
                    end_s=frame.end_s,
                    overrun=overrun,
                    deadline_s=task.deadline_s,
                )
            )
        except NeverDoneError as error:
            raise InputError(
                f"method.overrun wait: client {client_id} would keep the server waiting for ever ({error}); "
                "use drop or partial, or a profile without capacity 0"
            ) from None
    return plans


def _choice(front: Front | None, full: Counts) -> Callable[[Moment], Counts]:
    if front is None:
        return lambda moment: full
    entries, lookup = front.entries, front.lookup
    return lambda moment: entries[lookup(moment.budget_macs / moment.n_left)].counts


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

    def training_wall_s(self, plans: Sequence[Schedule]) -> float:
        """Mean seconds of a job over some clients' schedules; what would be lost is never computed."""
        totals = [
            self.job_wall_s + sum(self.step_wall_s(step.macs / step.n_examples) for step in plan.steps)
            for plan in plans
            if plan.status != "dropped"
        ]
        return sum(totals) / len(plans)

    def evaluation_wall_s(self, n_test: int, settings: Evaluation) -> float:
        """Seconds of one evaluation."""
        n_batches = math.ceil(n_test / settings.batch_size)
        return n_batches * self.test_batch_wall_s + self.n_statistics_batches * self.statistics_batch_wall_s


def measure(task: Task, cohort: Sequence[int]) -> WallTimes:
    """Times real steps and evaluation batches of the task in this process.

    The steps are those of the client with the median number of examples: at full width, and with the front's
    median entry where there is a front.
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


def median_entry(front: Front) -> Entry:
    """The entry in the middle of the table."""
    return front.entries[len(front.entries) // 2]


def _wall_s(work: Callable[[], object]) -> float:
    work()
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) < ENOUGH_WALL_S:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken)
