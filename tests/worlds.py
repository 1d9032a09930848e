"""Small worlds of clients whose speeds a test writes down, played by events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rounds import Played, Rows
from torch import Tensor, nn
from toys import toy

from distreal_sim.client.messages import State
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.data.datasets import Data, Dataset, Examples
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


class Parabolas(Dataset):
    """Client c holds the example x = scale[c], y = of[c]: the loss of w x as a prediction is (w x - y)^2.

    Each value of of[c] may be a list: as many outputs, of which the loss is the mean.
    """

    scale: tuple[float, ...]
    of: tuple[tuple[float, ...], ...]

    def load(self) -> Data:
        x = np.array(self.scale, np.float32)[:, None]
        every = Examples(x, np.array(self.of, np.float32))
        return Data(every, every, every.y.shape[1], writers=np.arange(len(x)))


class Line(nn.Module):
    """w x without a bias; shape: (1,)."""

    def __init__(self, shape: tuple[int, ...], n_outputs: int) -> None:
        super().__init__()
        self.w = nn.Linear(*shape, n_outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, 1)."""
        product: Tensor = self.w(x)
        return product


def parabolas(of: Sequence[float | Sequence[float]], scale: Sequence[float], **changes: Any) -> Experiment:
    """A fast client for each parabola (or sum of parabolas), all of them in every round."""
    values: dict[str, Any] = {
        "dataset": {
            "name": "worlds.Parabolas",
            "scale": list(scale),
            "of": [[y] if isinstance(y, int | float) else list(y) for y in of],
        },
        "partition": {"name": "by_writer"},
        "model": {"name": "worlds.Line"},
        "n_clients": None,
        "clients_per_round": len(scale),
        "local": {"steps": 1, "batch_size": 1, "lr": 0.1},
        "profile": {"name": "constant", "level": 1e6},
        "method": {"name": "fedavg"},
        "deadline_s": 8.0,
    }
    return toy(**{**values, **changes})


def weights(experiment: Experiment, w: float | Sequence[float] = 0.0) -> list[np.ndarray]:
    """The model (n_outputs,) of a `Line` at the start, w, and after every round."""
    task = build(experiment)
    fleet = SerialFleet(task, experiment.method)
    progress = start(experiment, task)
    ((name, first),) = progress.state.arrays.items()
    begun = np.broadcast_to(np.array(w, np.float32).reshape(-1, 1), first.shape)
    progress = replace(progress, state=State({name: begun}, progress.state.extras))
    sim, found = Simulation(experiment, task, fleet, Verifying(Rows(), experiment, task, 0.0)), [begun]
    for _ in range(experiment.rounds):
        progress, _row = order_of(experiment)(sim, progress)
        found.append(progress.state.arrays[name])
    return [value[:, 0] for value in found]


class Downloads(Links):
    """A download speed for each client, by its number; uploads take no time."""

    of: tuple[float, ...] = (1.0,)

    def link(self, client_id: int, use: Use, rng: Keyed) -> Link:
        return Link(self.of[client_id], math.inf)

    def slowest(self) -> Link:
        return Link(min(self.of), math.inf)
