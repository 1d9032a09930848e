"""Small worlds of clients whose speeds a test writes down, played by events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rounds import Played, Rows
from toys import toy

from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.rngs import Keyed
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.simulation.clock.rounds import TimedFleet
from distreal_sim.simulation.play import order_of
from distreal_sim.simulation.rounds import Simulation, start
from distreal_sim.simulation.verify import Verifying


class Speeds(Profile):
    """A constant level for each client, by its number."""

    of: tuple[float, ...] = (1.0,)

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(self.of[client_id])

    def lower_bound(self) -> float:
        return min(self.of)


def world(lasts_s: Sequence[float], coordination: dict[str, Any], **changes: Any) -> Experiment:
    """Clients whose jobs last these times, by their number; all hold 16 examples and train one batch.

    At level 1 a job lasts deadline_s = 8.
    """
    values: dict[str, Any] = {
        "rounds": 4,
        "deadline_s": 8.0,
        "n_clients": len(lasts_s),
        "clients_per_round": len(lasts_s),
        "partition": {"name": "bootstrap", "examples": 16},
        "model": {"name": "logistic"},
        "local": {"steps": 1, "batch_size": 16, "lr": 0.1},
        "profile": {"name": "worlds.Speeds", "of": [8.0 / s for s in lasts_s]},
        "method": {"name": "fedavg"},
    }
    return toy(**{**values, "coordination": coordination, **changes})


def played(experiment: Experiment, *, trained: bool = False) -> Played:
    """All server steps of an experiment, with their bookkeeping verified; timed only unless trained."""
    task, rows = build(experiment), Rows()
    if trained:
        fleet: Any = SerialFleet(task, experiment.method)
    else:
        task = replace(task, computes=False)
        fleet = TimedFleet(task, experiment.method)
    progress = start(experiment, task)
    sim = Simulation(experiment, task, fleet, Verifying(rows, experiment, task, 0.0))
    states, play = [progress.state], order_of(experiment)
    for _ in range(experiment.rounds):
        progress, _row = play(sim, progress)
        states.append(progress.state)
    return Played(task, states, rows.clients, rows.rounds)


def events(run: Played) -> list[tuple[int, int, float, float, int]]:
    """(step, client, start, end, staleness) of every job, by its end."""
    found = [
        (row.round, row.client_id, m["start_s"], m["end_s"], int(m["staleness"]))
        for row in run.clients
        for m in [row.metrics]
    ]
    return sorted(found, key=lambda event: (event[3], event[1]))


class Downloads(Links):
    """A download speed for each client, by its number; uploads take no time."""

    of: tuple[float, ...] = (1.0,)

    def link(self, client_id: int, use: Use, rng: Keyed) -> Link:
        return Link(self.of[client_id], math.inf)

    def slowest(self) -> Link:
        return Link(min(self.of), math.inf)
