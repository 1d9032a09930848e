"""Simulated timing of many clients' rounds at once: `client.train` for arrays, equal to the last bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from distreal_sim.client.batches import batch_sizes
from distreal_sim.client.columns import CHARGED
from distreal_sim.client.coverage import keep_rate
from distreal_sim.client.energy import joules
from distreal_sim.client.messages import STATUSES
from distreal_sim.client.schedule import too_late
from distreal_sim.client.task import Task
from distreal_sim.devices.links import Transfers, Use
from distreal_sim.devices.many import Capacities
from distreal_sim.simulation.clock.schedules import Moments, Schedules, Work, schedules
from distreal_sim.submodels.levels import Level, Levels, PerRound, PerStep

SKIPS = -1
"""The level of a client that takes no part."""

Columns = dict[str, np.ndarray]
"""(n,) arrays by the names of the columns of `client.messages.Facts`; status: indices into STATUSES."""


@dataclass(frozen=True)
class TimedClients:
    """The clients of a task, which all choose by the same rule."""

    task: Task
    choice: Levels

    @cached_property
    def _kinds(self) -> tuple[Work, np.ndarray]:
        """The work of each kind of client, by its number of examples; (n_clients,) the kind of each."""
        distinct, kind = np.unique(self.task.split.sizes, return_inverse=True)
        return Work.of([batch_sizes(n, self.task.local) for n in distinct.tolist()]), kind

    @cached_property
    def _levels(self) -> tuple[Level, ...]:
        """The levels that are chosen from, by the numbers that stand for them here."""
        return self.choice.worth_choosing if isinstance(self.choice, PerStep) else self.choice.levels

    @cached_property
    def _macs(self) -> np.ndarray:
        return np.array([level.macs_per_example for level in self._levels])

    @cached_property
    def _charges(self) -> np.ndarray:
        return np.array([level.charge for level in self._levels])

    @cached_property
    def _planned_charges(self) -> np.ndarray:
        return np.array([level.planned_charge for level in self._levels])

    @cached_property
    def _shares(self) -> np.ndarray:
        return np.array([level.share for level in self._levels])

    def facts(self, client_ids: np.ndarray, use: Use) -> tuple[Columns, Capacities]:
        """The facts of each client's round, and its capacities, walked to the end of its work.

        use: the round of each, (n,) arrays.
        """
        task, levels = self.task, self._levels
        work, kinds = self._kinds
        kind = kinds[client_ids]
        capacities = task.devices.capacities(client_ids, use.start_s)
        link = task.devices.links_of(client_ids, use)
        download = np.array([level.traffic.download_bytes for level in levels])
        upload = np.array([level.traffic.upload_bytes for level in levels])
        level = np.zeros(len(kind), np.int64)
        if isinstance(self.choice, PerRound):
            level = self._that_fits(work.n_left[kind, 0], capacities, link)
        coverage = levels[0].traffic.coverage
        most = self._coverage_bytes(work.n_planned).sum(axis=1)[kind] if coverage else 0
        timed = schedules(
            work,
            kind,
            capacities,
            self._macs,
            self._charges,
            self._lookup if isinstance(self.choice, PerStep) else lambda moments: level[moments.rows],
            rows=np.flatnonzero(level != SKIPS),
            start_s=np.broadcast_to(link.download_s(download[level]), kind.shape),
            end_s=task.deadline_s - link.expected_upload_s(upload[level] + most),
            overrun=task.overrun,
            deadline_s=task.deadline_s,
        )
        sent = upload[level]
        if coverage:
            sent = sent + np.where(self._dropped(timed), self._coverage_bytes(timed.n_done), 0).sum(axis=1)
        n_planned, skips = work.n_planned[kind], level == SKIPS
        done_s = timed.compute_end_s + link.upload_s(sent, timed.compute_end_s)
        stopped = (timed.n_done < n_planned) & ((task.overrun != "partial") | (timed.n_done == 0))
        late = too_late(done_s, task.deadline_s, task.overrun)
        lost = stopped | late
        partly = (timed.n_done < n_planned) & ~lost
        sim_s = np.where(lost, task.deadline_s, done_s)
        down_s = link.download_s(download[level])
        code = {status: STATUSES.index(status) for status in STATUSES}
        columns = {
            "client_id": client_ids,
            "status": np.select([lost, partly], [code["dropped"], code["partial"]], code["completed"]),
            "n_examples": task.split.sizes[client_ids],
            "n_steps_planned": n_planned,
            "n_steps_done": timed.n_done,
            "macs": timed.macs,
            "sim_s": np.where(skips, 0.0, sim_s),
            "mean_keep_rate": self._mean_keep_rates(timed),
            "download_bytes": np.where(skips, 0, download[level]),
            "upload_bytes": np.where(lost, 0, sent),
            "train_loss": np.full(len(kind), math.nan),
            "download_s": np.where(skips, 0.0, np.minimum(down_s, sim_s)),
            "compute_s": np.where(skips, 0.0, timed.compute_end_s - down_s),
        }
        if task.charges is not None:
            columns[CHARGED.name] = timed.charged_macs.astype(float)
        if task.devices.energy.counts:
            upload_s = link.upload_s(sent, timed.compute_end_s)
            with np.errstate(divide="ignore", invalid="ignore"):
                sent_share = (task.deadline_s - timed.compute_end_s) / upload_s
            own = joules(
                task.devices.energy,
                compute_j=task.devices.energy.compute_j(timed.macs, timed.compute_end_s - down_s),
                download_bytes=download[level],
                download_s=down_s,
                upload_bytes=sent,
                upload_s=upload_s,
                share=np.where(stopped, 0.0, np.where(late, sent_share, 1.0)),
            )
            columns |= {name: np.where(skips, 0.0, values) for name, values in own.items()}
        return columns, capacities

    def _that_fits(self, n_examples: np.ndarray, capacities: Capacities, link: Transfers) -> np.ndarray:
        """(n,) the level that `largest_that_fits` chooses."""
        rows = np.arange(len(n_examples))
        level = np.full(len(rows), SKIPS)
        order = sorted(range(len(self._macs)), key=lambda index: (self._macs[index], -index))
        for index in order:
            traffic = self._levels[index].traffic
            start_s = link.download_s(traffic.download_bytes)
            end_s = self.task.deadline_s - link.expected_upload_s(traffic.upload_bytes)
            none = np.zeros_like(rows)
            moments = Moments(rows, start_s, end_s, capacities.macs_per_s, n_examples, none, none)
            level[self._charges[index] * n_examples <= moments.budget_macs] = index
        return level

    def _lookup(self, moments: Moments) -> np.ndarray:
        """`PerStep.now`."""
        budgets = moments.budget_macs / moments.n_left
        if (self._shares == 1).all():
            found = np.searchsorted(self._planned_charges, budgets, side="right") - 1
            picked: np.ndarray = np.maximum(found, 0)
            return picked
        n_planned, picked = moments.n_done + moments.n_left, np.zeros(len(budgets), np.int64)
        in_all = moments.budget_macs + moments.charged_macs
        for level in sorted(range(len(self._levels)), key=lambda level: (self._levels[level].rank, level)):
            charge = self._planned_charges[level]
            fits = charge * n_planned <= in_all if self._shares[level] < 1 else charge <= budgets
            picked[fits] = level
        return picked

    @cached_property
    def _channels(self) -> np.ndarray:
        """(G,) number of channels of each coupling group."""
        return np.array(self.task.structure.full_counts(), np.int64)

    def _coverage_bytes(self, n_steps: np.ndarray) -> np.ndarray:
        """(n, G) bytes of the coverage of each group."""
        n_bits: np.ndarray = n_steps[:, None] * self._channels
        return self.task.codec.coverage_bytes(n_bits)

    def _dropped(self, timed: Schedules) -> np.ndarray:
        """(n, G) whether a finished step dropped channels of the group."""
        narrow = np.array([level.counts for level in self._levels]) < self._channels
        dropped = np.zeros((len(timed.macs), len(self._channels)), bool)
        for rows, level in timed.steps:
            dropped[rows] |= narrow[level]
        return dropped

    def _mean_keep_rates(self, timed: Schedules) -> np.ndarray:
        """(n,) share of channels kept, mean over groups and finished steps; NaN without finished steps."""
        structure = self.task.structure
        shares = np.array([keep_rate(structure, level.counts) for level in self._levels])
        total = np.zeros(len(timed.macs))
        for rows, level in timed.steps:
            total[rows] += shares[level]
        with np.errstate(invalid="ignore"):
            rates: np.ndarray = total / timed.n_done
        return rates
