"""How unequal the clients are, for `inspect profile`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.base.text import counted
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import planned_examples
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.heterogeneity import States, rounds_in_time, spread_of, time_of_trips
from distreal_sim.inspection.rows import sample
from distreal_sim.thinning.cost import training_macs

MAX_CLIENTS = 2000
"""Clients that are looked at."""

ROUNDS = 3000
"""Rounds that are played, as in FLHetBench."""

MOST_PAUSES = 1000.0
"""Deadlines after which a client that is away counts as gone."""


STATE_ROUNDS = 200
"""Rounds that are played where clients come and go, which takes longer."""

STATE_CLIENTS = 200
"""Clients that are looked at then."""

WORK = (0.25, 0.5, 0.75, 1.0)
"""Work of clients that are alike, in deadlines; the numbers are means over these."""


def heterogeneity_lines(experiment: Experiment, task: Task) -> Iterator[str]:
    """The spread of the capacities at t = 0, and its effect on rounds of the full network's planned work."""
    client_ids = np.array(sample(len(task.split), MAX_CLIENTS))
    speeds = task.devices.capacities(client_ids, np.zeros(len(client_ids))).macs_per_s
    if not np.isfinite(speeds).all():
        return
    times_s = _times_s(experiment, task, client_ids, speeds)
    spread = spread_of(speeds)
    yield (
        f"Heterogeneity at t = 0, {counted(len(client_ids), 'client')}: coefficient of variation "
        f"{spread.cv:.3f}, 90th to 10th percentile {spread.p90_to_p10:.3g}, fastest to slowest "
        f"{spread.max_to_min:.3g}."
    )
    per_round = min(experiment.clients_per_round, len(client_ids))
    rng = Rngs(0)("heterogeneity")
    found = rounds_in_time(times_s, task.deadline_s, per_round, ROUNDS, rng)
    trips = (
        time_of_trips(times_s, per_round, ROUNDS * per_round, rng) if np.isfinite(times_s).all() else np.inf
    )
    yield (
        f"With the full network: {100 * found.share:.3g} % of jobs in time (DevMC-R {found.score:.3f}), "
        f"rounds {_length(trips, 'without work')} (DevMC-T)."
    )


def state_lines(experiment: Experiment, task: Task) -> Iterator[str]:
    """What it costs that clients come and go: with equal devices, and with their own."""
    client_ids = np.array(sample(len(task.split), STATE_CLIENTS))
    n, states = len(client_ids), Comings(task, client_ids)
    per_round = min(experiment.clients_per_round, n)
    rng = Rngs(0)("heterogeneity of states")
    alike = [np.full(n, share * task.deadline_s) for share in WORK]
    speeds = states.speeds(0.0)
    yield _numbers("StatMC", "devices that are alike", alike, task, per_round, rng, states)
    if np.isfinite(speeds).all():
        own = [_times_s(experiment, task, client_ids, speeds)]
        yield _numbers("InterMC", "the full network", own, task, per_round, rng, states)


def _numbers(
    name: str,
    what: str,
    works: Sequence[np.ndarray],
    task: Task,
    per_round: int,
    rng: np.random.Generator,
    states: States,
) -> str:
    """The two numbers, means over several kinds of work."""
    found = [rounds_in_time(w, task.deadline_s, per_round, STATE_ROUNDS, rng, states) for w in works]
    trips = [time_of_trips(w, per_round, STATE_ROUNDS * per_round, rng, states) for w in works]
    share, score = (float(np.mean([getattr(own, key) for own in found])) for key in ("share", "score"))
    return (
        f"With {what}: {100 * share:.3g} % of jobs in time ({name}-R {score:.3f}), rounds "
        f"{_length(float(np.mean(trips)), 'without work and absences')} ({name}-T)."
    )


def _length(ratio: float, than: str) -> str:
    """How long rounds are; ratio: inf where too many clients never come to an end."""
    return f"{ratio:.3g} times as long as {than}" if math.isfinite(ratio) else "without end"


class Comings:
    """`States` of some clients of a task; see there."""

    def __init__(self, task: Task, client_ids: np.ndarray) -> None:
        self._task, self._ids = task, client_ids
        self._lines = [task.devices.presence(c, 0.0) for c in client_ids.tolist()]

    def there(self, t_s: float) -> np.ndarray:
        return self._task.devices.available(self._ids, 1, t_s)

    def lasts_s(self, client: int, t_s: float, work_s: float) -> float:
        presence = self._lines[client]
        assert presence is not None
        return Capacity(presence.line, 1.0, t_s).finish(0.0, work_s, MOST_PAUSES * self._task.deadline_s)

    def speeds(self, t_s: float) -> np.ndarray:
        """(n,) MAC/s of each when it is next there."""
        found = []
        for client, presence in zip(self._ids.tolist(), self._lines, strict=True):
            assert presence is not None
            back_s = presence.back_s(t_s, MOST_PAUSES * self._task.deadline_s)
            found.append(self._task.devices.capacity(client, 0.0)(back_s) if back_s < np.inf else 0.0)
        return np.array(found)


def _times_s(experiment: Experiment, task: Task, client_ids: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """(n,) seconds of the full network's planned work; inf without capacity."""
    macs = training_macs(task.configured, task.configured.full_counts())
    with np.errstate(divide="ignore"):
        times_s: np.ndarray = planned_examples(task.split, experiment)[client_ids] * macs / speeds
    return times_s
