"""Many clients' rounds in simulated time: `schedule.schedule` for arrays, equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from distreal_sim.client.schedule import PATIENCE, TOLERANCE, NeverDoneError, never_done
from distreal_sim.client.settings import Overrun
from distreal_sim.devices.many import Capacities


@dataclass(frozen=True)
class Work:
    """The planned mini-batches of u kinds of clients.

    sizes: (u, S + 1) examples of each mini-batch, 0 after the last one; n_left: (u, S + 1) examples of this
    and all later ones; n_planned: (u,) number of mini-batches.
    """

    sizes: np.ndarray
    n_left: np.ndarray
    n_planned: np.ndarray

    @classmethod
    def of(cls, batches: Sequence[Sequence[int]]) -> Work:
        """batches: the sizes of each kind of client's mini-batches."""
        sizes = np.zeros((len(batches), max(map(len, batches), default=0) + 1), np.int64)
        for row, own in zip(sizes, batches, strict=True):
            row[: len(own)] = own
        return cls(sizes, sizes[:, ::-1].cumsum(axis=1)[:, ::-1], (sizes > 0).sum(axis=1))


@dataclass(frozen=True)
class Moments:
    """`schedule.Moment` of the clients in `rows`: its fields as (m,) arrays."""

    rows: np.ndarray
    t_s: np.ndarray
    end_s: np.ndarray
    macs_per_s: np.ndarray
    n_left: np.ndarray
    n_done: np.ndarray
    charged_macs: np.ndarray

    @property
    def budget_macs(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            budget = self.macs_per_s * (self.end_s - self.t_s) * (1 + TOLERANCE)
        return np.where((self.macs_per_s == 0) | (self.end_s <= self.t_s), 0.0, budget)


ChooseMany = Callable[[Moments], np.ndarray]
"""The level that each client takes for its next step, (m,) ints."""


@dataclass(frozen=True)
class Schedules:
    """`schedule.Schedule` of n clients.

    steps: for each mini-batch, (rows, levels) of the clients that finished it; the other fields: (n,) each.
    """

    steps: list[tuple[np.ndarray, np.ndarray]]
    n_done: np.ndarray
    macs: np.ndarray
    charged_macs: np.ndarray
    compute_end_s: np.ndarray


def schedules(
    work: Work,
    kind: np.ndarray,
    capacities: Capacities,
    macs_per_example: np.ndarray,
    charge: np.ndarray,
    choose: ChooseMany,
    *,
    rows: np.ndarray,
    start_s: np.ndarray,
    end_s: np.ndarray,
    overrun: Overrun,
    deadline_s: float,
) -> Schedules:
    """Times the planned work of the clients in `rows`, out of n clients.

    kind: (n,) each client's row in `work`; macs_per_example, charge: (E,) what a step of each level computes
    and is charged; start_s, end_s: (n,). Raises NeverDoneError as `schedule` does.
    """
    waits = overrun == "wait"
    limit_s = start_s + PATIENCE * deadline_s if waits else end_s
    t_s = start_s.copy()
    n_done, macs, charged = (np.zeros(len(start_s), np.int64) for _ in range(3))
    n_planned = work.n_planned[kind]
    steps: list[tuple[np.ndarray, np.ndarray]] = []
    for index in range(int(n_planned.max(initial=0))):
        on_time = True if waits else t_s[rows] < limit_s[rows]
        rows = rows[(n_planned[rows] > index) & on_time]
        if not len(rows):
            break
        now, own = t_s[rows], kind[rows]
        capacities.reach(rows, now)
        left = work.n_left[own, index]
        done = work.n_left[own, 0] - left
        moments = Moments(rows, now, end_s[rows], capacities.macs_per_s[rows], left, done, charged[rows])
        level = choose(moments)
        size = work.sizes[own, index]
        cost = charge[level] * size
        done_s, offered = capacities.finish(rows, now, cost, limit_s[rows])
        late = done_s == np.inf
        if waits and late.any():
            raise NeverDoneError(never_done(index, int(n_planned[rows[late][0]])))
        short = late & (cost - offered > TOLERANCE * (charged[rows] + cost))
        done_s[late] = end_s[rows[late]]
        t_s[rows] = done_s
        part = np.where(short, offered, 0.0)
        own_macs = part * (macs_per_example[level] / charge[level])
        macs[rows] += np.where(short, own_macs.astype(np.int64), macs_per_example[level] * size)
        charged[rows] += np.where(short, part.astype(np.int64), cost)
        n_done[rows] += ~short
        rows, level = rows[~short], level[~short]
        steps.append((rows, level))
    return Schedules(steps, n_done, macs, charged, t_s)
