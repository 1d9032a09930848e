"""The clients' batteries over time: what a job takes, what is charged, and when the reserve is reached.

The server's process keeps the levels, and only at the ends of jobs: between them a battery charges, which is
a function of time. So a job's battery is known before it is computed, and a job that it does not last for is
not computed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from distreal_sim.client.client import Client
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.energy import BATTERY, Draw
from distreal_sim.client.messages import Arrays, Facts, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip
from distreal_sim.devices.capacity import Capacity
from distreal_sim.simulation.cut import cut_short, draws_of

Levels = Mapping[int, tuple[float, float]]
"""(absolute simulated time at which its last job was done, joules then) of each client that had a job."""

SLACK = 1e-9
"""Share of the capacity within which a level is the reserve: rounding of a job that stopped there."""


class Charge(NamedTuple):
    """start_j, charged_j, end_j: of a job; stops_s: when in it the reserve was reached, None if never."""

    start_j: float
    charged_j: float
    end_j: float
    stops_s: float | None = None

    @property
    def columns(self) -> dict[str, float]:
        """The values of `client.energy.BATTERY`."""
        values = self.start_j, self.charged_j, self.end_j
        return {column.name: value for column, value in zip(BATTERY, values, strict=True)}


def level_at(task: Task, levels: Levels, client_id: int, t_s: float) -> float:
    """Joules in the battery of a client without a job, at an absolute time."""
    cell = task.devices.cell(client_id)
    since_s, level_j = levels.get(client_id, (0.0, cell.start_j))
    if level_j >= cell.capacity_j:
        return cell.capacity_j
    charged_j = task.devices.charger(client_id, since_s).offered(0.0, t_s - since_s)
    return min(cell.capacity_j, level_j + charged_j)


def on_battery(task: Task, job: Job, timed: Update, levels: Levels) -> tuple[Update, Charge]:
    """(the timed update of a job as its battery lets it be, what the job does to the battery)."""
    cell = task.devices.cell(job.client_id)
    start_j = level_at(task, levels, job.client_id, job.round.start_s)
    if start_j <= cell.reserve_j + SLACK * cell.capacity_j:
        out = skip(Client(task, job.client_id, job.round), "battery")
        return out, Charge(start_j, 0.0, start_j)
    charge = charge_of(task, job, timed.facts, start_j, cell.reserve_j)
    if charge.stops_s is None:
        return timed, charge
    facts = cut_short(task, job, timed, charge.stops_s, "battery")
    stopped = Update(facts, {}, Coverage.empty(task.structure))
    return stopped, charge_of(task, job, facts, start_j)


def charge_of(task: Task, job: Job, facts: Facts, start_j: float, reserve_j: float | None = None) -> Charge:
    """What a job does to a battery of start_j; reserve_j: the level at which it stops, None for never."""
    capacity_j = task.devices.cell(job.client_id).capacity_j
    client = Client(task, job.client_id, job.round)
    charger = task.devices.charger(job.client_id, job.round.start_s, at_work=True)
    level_j, charged_j = start_j, 0.0
    for from_s, to_s, takes_j, gets_j in _intervals(draws_of(client, facts), charger, facts.sim_s):
        low_j = level_j - takes_j + gets_j
        if reserve_j is not None and low_j <= reserve_j:
            share = (level_j - reserve_j) / (level_j - low_j)
            return Charge(start_j, charged_j, reserve_j, from_s + share * (to_s - from_s))
        stored_j = min(gets_j, capacity_j - level_j + takes_j)
        charged_j += stored_j
        level_j += stored_j - takes_j
    return Charge(start_j, charged_j, start_j + charged_j - facts.metrics["energy_j"])


def _intervals(
    draws: Sequence[Draw], charger: Capacity, end_s: float
) -> Iterator[tuple[float, float, float, float]]:
    """(from_s, to_s, joules taken, joules charged) of pieces in which both powers are constant, in order."""
    at_s = 0.0
    for draw in draws:
        if draw.to_s <= draw.from_s:
            yield draw.from_s, draw.from_s, draw.joules, 0.0
            continue
        watts = draw.joules / (draw.to_s - draw.from_s)
        for from_s, to_s, charge_w in charger.pieces(draw.from_s):
            if from_s >= draw.to_s:
                break
            at_s = min(to_s, draw.to_s)
            yield from_s, at_s, watts * (at_s - from_s), charge_w * (at_s - from_s)
    for from_s, to_s, charge_w in charger.pieces(at_s) if at_s < end_s else ():
        if from_s >= end_s:
            break
        yield from_s, min(to_s, end_s), 0.0, charge_w * (min(to_s, end_s) - from_s)


def levels_after(levels: Levels, start_s: float, facts: Sequence[Facts]) -> Levels:
    """The levels after the jobs of a round; they stay as they are where clients have no batteries."""
    end_j = BATTERY[-1].name
    done = {f.client_id: (start_s + f.sim_s, f.metrics[end_j]) for f in facts if end_j in f.metrics}
    return {**levels, **done} if done else levels


def packed(levels: Levels) -> Arrays:
    """The levels as arrays, for a checkpoint."""
    if not levels:
        return {}
    times_s, levels_j = np.array([*levels.values()]).T
    return {"client_id": np.array([*levels]), "t_s": times_s, "level_j": levels_j}


def unpacked(arrays: Arrays) -> Levels:
    """The levels that `packed` packed."""
    if not arrays:
        return {}
    columns = (arrays[name].tolist() for name in ("client_id", "t_s", "level_j"))
    return {client: (t_s, level_j) for client, t_s, level_j in zip(*columns, strict=True)}
