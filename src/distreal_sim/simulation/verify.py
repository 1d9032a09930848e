"""Independent checks of the bookkeeping of every round."""

from __future__ import annotations

import math
from collections.abc import Sequence

from distreal_sim.base.errors import RunError
from distreal_sim.client.columns import ASKED, CHARGED
from distreal_sim.client.energy import BATTERY
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.devices.links import Use
from distreal_sim.simulation.batteries import Levels
from distreal_sim.simulation.rounds import Progress, Recorder
from distreal_sim.simulation.rows import ClientRow, RoundRow, Timing

RELATIVE = 1e-6
"""Allowed relative difference between the integral of a client's capacity and the MACs reported for it."""

SUMS = ("macs", "macs_available", "download_bytes", "upload_bytes")


class InvariantError(RunError):
    """The simulator contradicts itself; the message names the round, the client and both numbers."""


class Verifying:
    """Hands rounds on to another recorder once their bookkeeping holds.

    sim_s, batteries: simulated time, and levels, before the first round that it sees. Raises InvariantError.

    - Simulated time grows, in rounds by the duration that `round_end` prescribes.
    - Without rounds a client does one job after another, and none ends after the server's step.
    - No client takes longer than the deadline, unless the server waits.
    - The round's MACs, bytes and numbers of clients are the sums over its clients.
    - A client whose work counts did as many MACs as its capacity offered from the end of its download to the
      end of its computation; no client did more than its capacity offered; if time is measured, this
      holds for the MACs that it was charged; where the speed of its link changes during a transfer, they
      are at most those from the end of the download until it was done, and where a controller slows clients
      down, at most what was offered.
    - Joules, where they are counted, are the sums of their parts and of the clients.
    - Of a battery start + charged - used = end; it holds at most its capacity, never charges faster than its
      charger, loses nothing between jobs, and comes down to its reserve only where its client stops.
    - A client whose update was lost sent nothing, unless the selection had asked it for something; the
      numbers of steps done and planned match its status.
    """

    def __init__(
        self,
        recorder: Recorder,
        experiment: Experiment,
        task: Task,
        sim_s: float,
        batteries: Levels | None = None,
    ) -> None:
        self._recorder, self._task, self._sim_s = recorder, task, sim_s
        self._ends_early = experiment.round_end == "early"
        self._waits = experiment.overrun == "wait"
        self._relays = experiment.method.relays
        self._in_rounds = experiment.coordination.in_rounds
        known = self._in_rounds or experiment.link.name in ("constant", "unlimited")
        self._link_known = known and not experiment.controller.acts
        self._free_s: dict[int, float] = {}  # when each client ended its last job
        self._levels = dict(batteries or {})

    def write(self, row: RoundRow, rows: Sequence[ClientRow], timing: Timing) -> None:
        """Checks a round, then adds it."""
        _expect(row, "sim_s grows", row.sim_s, row.sim_s >= self._sim_s, self._sim_s)
        if self._in_rounds:
            lasted, due = row.sim_s - self._sim_s, self._length([client.sim_s for client in rows])
            as_due = _same_time(lasted, due, row.sim_s)
            _expect(row, "the round lasts as long as it should", lasted, as_due, due)
        for name in SUMS:
            total, stated = sum(getattr(r, name) for r in rows), getattr(row, name)
            _expect(row, f"{name} is the clients' sum", stated, _close(stated, total), total)
        for status in ("completed", "partial", "dropped", "diverged"):
            total, stated = sum(r.status == status for r in rows), getattr(row, f"n_{status}")
            _expect(row, f"n_{status} counts the clients", stated, stated == total, total)
        n = sum(client.status != "asked" for client in rows)
        _expect(row, "n_selected counts the clients", row.n_selected, row.n_selected == n, n)
        if "energy_j" in row.more:
            total, stated = math.fsum(r.metrics["energy_j"] for r in rows), row.more["energy_j"] or 0.0
            same = math.isclose(stated, total, rel_tol=RELATIVE, abs_tol=1e-12)
            _expect(row, "energy_j is the clients' sum", stated, same, total)
        for client in rows:
            self._check_client(row, client)
            if not self._in_rounds:
                self._check_job(row, client)
        self._sim_s = row.sim_s
        self._recorder.write(row, rows, timing)

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        """Hands the checkpoint on."""
        self._recorder.commit(progress, contexts)

    def _length(self, sim_s: Sequence[float]) -> float:
        """Duration of a round, given the simulated seconds of each client."""
        last_s = max(sim_s, default=0.0)
        if self._ends_early and len(sim_s):
            return last_s
        deadline_s = self._task.deadline_s
        return max(deadline_s, last_s) if self._waits or self._relays else deadline_s

    def _check_client(self, row: RoundRow, client: ClientRow) -> None:
        where = f"client {client.client_id}: "
        start_s = client.metrics.get("start_s", self._sim_s) + client.metrics.get("waited_s", 0.0)
        own_s = client.sim_s - client.metrics.get("waited_s", 0.0)
        capacity = self._task.devices.capacity(client.client_id, start_s)
        number = row.round - int(client.metrics.get("staleness", 0))
        link = self._task.devices.link(client.client_id, Use(number, start_s, row.n_selected))
        done, planned = client.n_steps_done, client.n_steps_planned
        fits = {"completed": done == planned, "partial": 0 < done < planned}.get(client.status, True)
        _expect(row, f"{where}{client.status} with these steps", done, fits and done <= planned, planned)
        sent = client.upload_bytes
        was_cancelled, was_refused = (bool(client.metrics.get(name)) for name in ("cancelled", "refused"))
        was_asked = not math.isnan(client.metrics.get(ASKED.name, math.nan))
        _expect(
            row,
            f"{where}an update that was lost was not sent",
            sent,
            client.status != "dropped" or not sent or was_cancelled or was_refused or was_asked,
            0,
        )
        deadline_s = math.inf if self._waits else self._task.deadline_s
        in_time = own_s <= deadline_s or _same_time(own_s, deadline_s, deadline_s)
        _expect(row, f"{where}done by the deadline", own_s, in_time, deadline_s)
        macs = client.metrics.get(CHARGED.name, client.macs)
        offered = capacity.offered(0.0, own_s)
        if was_asked and start_s > self._sim_s:  # it answered before it waited for others
            before = self._task.devices.capacity(client.client_id, self._sim_s)
            offered += before.offered(0.0, start_s - self._sim_s)
        most = offered * (1 + RELATIVE) + 1
        _expect(row, f"{where}macs at most what was offered", macs, macs <= most, offered)
        lost = client.status in ("dropped", "battery")
        if self._link_known and not was_asked and (not lost or was_refused):
            upload_s = link.expected_upload_s(client.upload_bytes) if link.is_steady else 0.0
            start_s = link.download_s(client.download_bytes)
            worked = capacity.offered(start_s, own_s - upload_s)
            exact = math.isinf(worked) or _close(macs, worked) or (not link.is_steady and macs <= worked)
            _expect(row, f"{where}macs are the integral of its capacity", macs, exact, worked)
        if "energy_j" in client.metrics:
            stated, parts = (
                client.metrics["energy_j"],
                client.metrics["compute_j"] + client.metrics["radio_j"],
            )
            _expect(row, f"{where}energy_j is compute_j and radio_j", stated, 0 <= stated == parts, parts)

        if BATTERY[0].name in client.metrics:
            self._check_battery(row, client)

    def _check_battery(self, row: RoundRow, client: ClientRow) -> None:
        where, cell = f"client {client.client_id}: ", self._task.devices.cell(client.client_id)
        start_j, charged_j, end_j = (client.metrics[column.name] for column in BATTERY)
        slack_j = RELATIVE * cell.capacity_j
        left_j = start_j + charged_j - client.metrics["energy_j"]
        _expect(row, f"{where}start + charged - used = end", end_j, abs(end_j - left_j) <= slack_j, left_j)
        most_j = max(start_j, end_j)
        _expect(
            row, f"{where}at most its capacity", most_j, most_j <= cell.capacity_j + slack_j, cell.capacity_j
        )
        from_s = client.metrics.get("start_s", self._sim_s)
        since_s, last_j = self._levels.get(client.client_id, (0.0, cell.start_j))
        charge_w: float = getattr(self._task.devices.battery, "charge_w")  # noqa: B009  (of a Rechargeable)
        reach_j = last_j + charge_w * (from_s - since_s)
        gains = last_j - slack_j <= start_j <= reach_j + slack_j
        _expect(row, f"{where}between jobs it charges, by its charger", start_j, gains, last_j)
        reach_j = charge_w * client.sim_s
        _expect(
            row, f"{where}charges by its charger", charged_j, 0 <= charged_j <= reach_j + slack_j, reach_j
        )
        is_down = min(start_j, end_j) <= cell.reserve_j + slack_j
        was_out = client.status == "battery"
        _expect(row, f"{where}stops at its reserve only", end_j, is_down or not was_out, cell.reserve_j)
        holds = was_out or end_j >= cell.reserve_j - slack_j
        _expect(row, f"{where}never falls below its reserve", end_j, holds, cell.reserve_j)
        self._levels[client.client_id] = from_s + client.sim_s, end_j

    def _check_job(self, row: RoundRow, client: ClientRow) -> None:
        """What holds for a job without rounds."""
        where, job = f"client {client.client_id}: ", client.metrics
        start_s, end_s = job["start_s"], job["end_s"]
        free_s = self._free_s.get(client.client_id, 0.0)
        _expect(row, f"{where}one job after another", start_s, start_s >= free_s, free_s)
        _expect(row, f"{where}ended by the server's step", end_s, start_s <= end_s <= row.sim_s, row.sim_s)
        lasted = end_s - start_s
        fits = client.sim_s <= lasted or _same_time(client.sim_s, lasted, end_s)
        _expect(row, f"{where}its job lasts no longer than from start to end", client.sim_s, fits, lasted)
        self._free_s[client.client_id] = end_s


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1.0) or a == b


def _same_time(a_s: float, b_s: float, sim_s: float) -> bool:
    """Equality within rounding error; sim_s: a time of the magnitude of those that were subtracted."""
    return math.isclose(a_s, b_s, rel_tol=1e-9, abs_tol=1e-12 * sim_s)


def _expect(row: RoundRow, what: str, stated: float, holds: bool, other: float) -> None:
    if not holds:
        raise InvariantError(f"round {row.round}: not true that {what}: {stated!r} beside {other!r}")
