"""Jobs on their way: when they end, known before they are computed, and what a cancelled one cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from distreal_sim.base.errors import naming
from distreal_sim.client.client import Client, do
from distreal_sim.client.coding import sent_models
from distreal_sim.client.columns import CHARGED
from distreal_sim.client.messages import Facts, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.methods import Method


@dataclass(frozen=True, eq=False)
class Flight:
    """A job on its way.

    got: the job with the model that its client decodes; timed: its update, timed but not computed; end_s:
    absolute simulated time at which the server gets the update, or gives it up at the job's own deadline.
    """

    job: Job
    got: Job
    timed: Update
    end_s: float

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

    def flights(self, jobs: Sequence[Job]) -> list[Flight]:
        """The jobs with their ends. A job whose update is lost ends at its own deadline at the earliest."""
        fresh = [job for job in jobs if _key(job) not in self._known]
        for _, same in groupby(fresh, lambda job: job.round.number):  # of one model, encoded once
            sent = list(same)
            for job, got in zip(sent, sent_models(self._task, sent), strict=True):
                self._known[_key(job)] = self._flight(job, got)
        return [self._known[_key(job)] for job in jobs]

    def _flight(self, job: Job, got: Job) -> Flight:
        with naming(f"method {self._method.name}, timing client {job.client_id},"):
            timed = do(self._timed, self._method, got)
        lasts_s = timed.facts.sim_s
        if not timed.is_merged:
            lasts_s = max(lasts_s, self._task.deadline_s)
        return Flight(job, got, timed, job.round.start_s + lasts_s)

    def forget(self, flights: Iterable[Flight]) -> None:
        """Forgets jobs that have ended."""
        for flight in flights:
            self._known.pop(_key(flight.job), None)


def _key(job: Job) -> tuple[int, int]:
    return job.client_id, job.round.key


def cancelled(task: Task, flight: Flight, now_s: float) -> Facts:
    """The facts of a job that the server cancels: it stops at once, and is charged until then.

    Bytes are those that have travelled, in proportion to the time of their transfer, MACs those that its
    capacity gave since the download; where time is measured, MACs are the same share of the job's as the
    charged ones.
    """
    facts, coverage = flight.timed.facts, flight.timed.coverage
    client, after_s = Client(task, flight.client_id, flight.job.round), now_s - flight.start_s
    download_s: float = client.link.download_s(facts.download_bytes)
    charged = facts.metrics.get(CHARGED.name, facts.macs)
    done = min(charged, int(client.capacity.offered(download_s, after_s))) if after_s > download_s else 0
    macs = int(facts.macs * (done / charged)) if CHARGED.name in facts.metrics and charged else int(done)
    upload_s: float = client.link.expected_upload_s(facts.upload_bytes)
    sent_s = max(0.0, after_s - (facts.sim_s - upload_s))
    return replace(
        facts,
        status="dropped",
        n_steps_done=int(np.searchsorted(np.cumsum(coverage.macs), macs, side="right")),
        macs=macs,
        sim_s=after_s,
        mean_keep_rate=math.nan,
        download_bytes=_bytes(facts.download_bytes, after_s, download_s),
        upload_bytes=_bytes(facts.upload_bytes, sent_s, upload_s) if sent_s else 0,
        train_loss=math.nan,
        metrics={**facts.metrics, **({CHARGED.name: float(done)} if CHARGED.name in facts.metrics else {})},
    )


def _bytes(n_bytes: int, for_s: float, whole_s: float) -> int:
    """Bytes of a transfer that have travelled after some time, of those that take whole_s."""
    return n_bytes if for_s >= whole_s else int(n_bytes * (for_s / whole_s))
