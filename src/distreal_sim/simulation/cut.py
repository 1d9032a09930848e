"""What a job came to that ends early: the server cancels it, or its client's battery is down."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from distreal_sim.client.client import Client
from distreal_sim.client.columns import CHARGED
from distreal_sim.client.energy import Draw, draws, taken
from distreal_sim.client.messages import Facts, Job, Status, Update
from distreal_sim.client.task import Task


def cut_short(task: Task, job: Job, timed: Update, after_s: float, status: Status = "dropped") -> Facts:
    """The facts of a job that ends early, after_s after its start: it is charged until then.

    Bytes are those that have travelled, in proportion to the time of their transfer, MACs those that its
    capacity gave since the download, joules those that it had taken; where time is measured, MACs are the
    same share of the job's as the charged ones.
    """
    facts, coverage = timed.facts, timed.coverage
    client = Client(task, job.client_id, job.round)
    download_s: float = client.link.download_s(facts.download_bytes)
    charged = facts.metrics.get(CHARGED.name, facts.macs)
    done = min(charged, int(client.capacity.offered(download_s, after_s))) if after_s > download_s else 0
    macs = int(facts.macs * (done / charged)) if CHARGED.name in facts.metrics and charged else int(done)
    stops_s = facts.download_s + facts.compute_s
    sent_s, upload_s = max(0.0, after_s - stops_s), facts.sim_s - stops_s
    energy = taken(draws_of(client, facts), after_s) if task.devices.energy.counts else {}
    return replace(
        facts,
        status=status,
        n_steps_done=int(np.searchsorted(np.cumsum(coverage.macs), macs, side="right")),
        macs=macs,
        sim_s=after_s,
        mean_keep_rate=math.nan,
        download_bytes=_bytes(facts.download_bytes, after_s, download_s),
        upload_bytes=_bytes(facts.upload_bytes, sent_s, upload_s) if sent_s else 0,
        train_loss=math.nan,
        metrics={
            **facts.metrics,
            **({CHARGED.name: float(done)} if CHARGED.name in facts.metrics else {}),
            **energy,
        },
        download_s=min(facts.download_s, after_s),
        compute_s=min(facts.compute_s, max(0.0, after_s - facts.download_s)),
    )


def draws_of(client: Client, facts: Facts) -> list[Draw]:
    """When in its round the client takes its joules."""
    leaves_s = math.inf if client.presence is None else client.presence.leaves_s(facts.sim_s)
    return draws(client.task.devices.energy, facts, client.capacity, leaves_s)


def _bytes(n_bytes: int, for_s: float, whole_s: float) -> int:
    """Bytes of a transfer that have travelled after some time, of those that take whole_s."""
    return n_bytes if for_s >= whole_s else int(n_bytes * (for_s / whole_s))
