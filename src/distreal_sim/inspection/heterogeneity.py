"""How unequal the clients are, for `inspect profile`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from distreal_sim.base.rng import Rngs
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import planned_examples
from distreal_sim.devices.heterogeneity import rounds_in_time, spread_of, time_of_trips
from distreal_sim.inspection.rows import sample
from distreal_sim.thinning.cost import training_macs

MAX_CLIENTS = 2000
"""Clients that are looked at."""

ROUNDS = 3000
"""Rounds that are played, as in FLHetBench."""


def heterogeneity_lines(experiment: Experiment, task: Task) -> Iterator[str]:
    """The spread of the capacities at t = 0, and its effect on rounds of the full network's planned work."""
    client_ids = np.array(sample(len(task.split), MAX_CLIENTS))
    speeds = task.devices.capacities(client_ids, np.zeros(len(client_ids))).macs_per_s
    macs = training_macs(task.configured, task.configured.full_counts())
    work = planned_examples(task.split, experiment)[client_ids] * macs
    with np.errstate(divide="ignore"):
        times_s = work / speeds
    if not np.isfinite(speeds).all():
        return
    spread = spread_of(speeds)
    yield (
        f"Heterogeneity at t = 0, {len(client_ids):,} clients: coefficient of variation "
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
        f"rounds {trips:.3g} times as long as without work (DevMC-T)."
    )
