"""Rounds in which clients start from each other's models, one after another (`Job.after`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from distreal_sim.client.messages import Job, Round, Update
from distreal_sim.client.settings import Weight
from distreal_sim.merging.average import client_weight

Train = Callable[[Sequence[Job]], Iterator[Update]]
"""train(jobs): one decoded update per job, in the order of the jobs."""


def relayed(train: Train, jobs: Sequence[Job], weight: Weight) -> Iterator[Update]:
    """One update per job, in the order of the jobs; those that nobody waits for any more train together.

    A client starts when the one before it is done, or is given up, from its model, or from what that one
    started from where its update is lost. `Facts.sim_s` counts from the start of the round. Of a chain the
    last update that was received has the weight of all its clients; the others weigh 0 and hold no arrays.
    """
    updates: dict[int, Update] = {}
    last: dict[int, int] = {}  # the last client received, by the first client of its chain
    weights: dict[int, float] = {}
    ready = [(job.client_id, 0.0, job) for job in jobs if job.after is None]
    while ready:
        done = {}
        for (chain, waited_s, job), update in zip(ready, train([job for _, _, job in ready]), strict=True):
            model = job.arrays
            if update.is_merged:
                weights[chain] = weights.get(chain, 0.0) + client_weight(update, weight)
                model = update.arrays or model
                if chain in last:
                    updates[last[chain]] = replace(updates[last[chain]], arrays={}, weight=0.0)
                last[chain] = job.client_id
            end_s = waited_s + update.facts.sim_s
            facts = replace(update.facts, sim_s=end_s)
            opens = float(update.facts.download_bytes) if job.after is None else 0.0
            own = replace(update, facts=facts).reporting(waited_s=waited_s, mediator_bytes=opens)
            updates[job.client_id] = own
            done[job.client_id] = chain, end_s, model
        ready = [
            (chain, end_s, replace(job, arrays=model, round=_later(job.round, end_s)))
            for job in jobs
            if job.after in done
            for chain, end_s, model in [done[job.after]]
        ]
    for chain, client_id in last.items():
        own = updates[client_id]
        sent = own.metrics["mediator_bytes"] + own.facts.upload_bytes
        own = own.reporting(mediator_bytes=sent)
        updates[client_id] = replace(own, weight=weights[chain] / client_weight(own, weight))
    return iter([updates[job.client_id] for job in jobs])


def _later(now: Round, by_s: float) -> Round:
    """The round as a client sees it that starts so much later; it has waited for the others meanwhile."""
    return replace(now, start_s=now.start_s + by_s, delay_s=max(0.0, now.delay_s - by_s))
