"""Jobs on their way: when they end, and whether their clients' batteries last, known before they are
computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from distreal_sim.base.errors import naming
from distreal_sim.client.client import do
from distreal_sim.client.coding import sent_models
from distreal_sim.client.messages import Job, Update
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.simulation.batteries import Charge, Levels, on_battery


@dataclass(frozen=True, eq=False)
class Flight:
    """A job on its way.

    got: the job with the model that its client decodes; timed: its update, timed but not computed; end_s:
    absolute simulated time at which the server gets the update, or gives it up at the job's own deadline;
    charge: what it does to its client's battery, if it has one.
    """

    job: Job
    got: Job
    timed: Update
    end_s: float
    charge: Charge | None = None

    @property
    def is_computed(self) -> bool:
        """Whether its client computes it: its battery lasts."""
        return self.timed.facts.status != "battery"

    @property
    def battery(self) -> dict[str, float]:
        """The columns of its client's battery, if it has one."""
        return {} if self.charge is None else self.charge.columns

    @property
    def client_id(self) -> int:
        return self.job.client_id

    @property
    def start_s(self) -> float:
        """Absolute simulated time of the start of its download."""
        return self.job.round.start_s

    @property
    def version(self) -> int:
        """Steps of the server before it started."""
        return self.job.round.number - 1


class Timekeeper:
    """Times jobs, each once: time depends on capacities and sizes, never on the arithmetic."""

    def __init__(self, task: Task, method: Method) -> None:
        self._task, self._method = task, method
        self._timed = replace(task, computes=False)
        vars(self._timed)["model_sizes"] = task.model_sizes  # without an engine of its own
        self._known: dict[tuple[int, int], Flight] = {}

    def flights(self, jobs: Sequence[Job], levels: Levels) -> list[Flight]:
        """The jobs with their ends. A job whose update is lost ends at its own deadline at the earliest.

        levels: those of the batteries before the jobs.
        """
        fresh = [job for job in jobs if _key(job) not in self._known]
        for _, same in groupby(fresh, lambda job: job.round.number):  # of one model, encoded once
            sent = list(same)
            for job, got in zip(sent, sent_models(self._task, sent), strict=True):
                self._known[_key(job)] = self._flight(job, got, levels)
        return [self._known[_key(job)] for job in jobs]

    def _flight(self, job: Job, got: Job, levels: Levels) -> Flight:
        charge = None
        with naming(f"method {self._method.name}, timing client {job.client_id},"):
            timed = do(self._timed, self._method, got)
            if self._task.devices.have_batteries:
                timed, charge = on_battery(self._timed, job, timed, levels)
        lasts_s = timed.facts.sim_s
        if not timed.is_merged:
            lasts_s = max(lasts_s, self._task.deadline_s)
        return Flight(job, got, timed, job.round.start_s + lasts_s, charge)

    def forget(self, flights: Iterable[Flight]) -> None:
        """Forgets jobs that have ended."""
        for flight in flights:
            self._known.pop(_key(flight.job), None)


def _key(job: Job) -> tuple[int, int]:
    return job.client_id, job.round.key
