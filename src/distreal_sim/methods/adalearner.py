"""AdaLearner: synchronous data-parallel steps, the batch divided among unequal workers by measured speed.

Mao, Qin, Xu, Nixon, Chen, Li, Chen: AdaLearner: An adaptive distributed mobile learning system for neural
networks. ICCAD 2017, 291-296. Reconstructed: this is the mechanism that the abstract describes, one network
trained by heterogeneous phones of one local network, adapted to their resources and with little traffic; how
the paper divides batches and what it sends was not available to us, so nothing of it is reproduced.

A round is a step: `local.steps: 1`, `local.batch_size` the batch of all workers together, and a server that
waits for all (`overrun: wait`, `round_end: early`). Worker k gets b_k examples so that the slowest is done as
early as can be; with plain SGD the mean of the models, weighted by b_k, is a step on the whole batch. Speed
is examples / second that a worker computes, without its transfers and without what it waits for, as an
exponential moving average. Less traffic is a `codec`, such as `top_k` or `fp16`; the one medium of all
workers is link `cell`.

Our choice: examples come from the worker's own; a worker that was not heard of counts as fast as the mean of
the others; each has at least 2 examples, since batch normalisation cannot train on one, and it normalises its
own part. A worker's weight in the merge is by b_k (`n_examples` is b_k); with more local steps a round is
local SGD. Left out: sending the fully-connected layers only in some of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace

import numpy as np
from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Facts, Job, Round, State
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, whole_network

SHARE = "n_examples"
"""What a worker is told: its part of the batch."""

SPEEDS = "speeds"
"""(n_clients,) examples/s of each worker, NaN for one that was not heard of; kept by the server."""

LEAST = 2
"""Examples of every worker."""


class AdaLearner(Method):
    """Data-parallel SGD with a batch that is divided by speed."""

    beta: float = Field(
        0.8, ge=0, lt=1, description="share of the old value in the moving average of a worker's speed"
    )

    def own_levels(self, client: Client, job: Job) -> Always:
        return whole_network(client.task)

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return whole_network(task).levels

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        workers = list(now.cohort)
        speeds = filled(state.extras[SPEEDS][workers]) if SPEEDS in state.extras else np.ones(len(workers))
        shares = divided(task.local.batch_size, speeds, task.split.sizes[workers])
        pairs = zip(workers, shares, strict=True)
        return [Job(worker, now, state.arrays, told={SHARE: float(n)}) for worker, n in pairs]

    def examples(self, client: Client, job: Job) -> np.ndarray:
        own = client.examples
        return own[client.rngs("share").permutation(len(own))[: int(job.told[SHARE])]]

    def learn(self, task: Task, state: State, now: Round, facts: Sequence[Facts]) -> State:
        speeds = np.array(state.extras.get(SPEEDS, np.full(len(task.split), np.nan)))
        for fact in facts:
            if fact.compute_s <= 0:  # it took no part, or no time
                continue
            speed = fact.n_examples * fact.n_steps_done / fact.n_steps_planned / fact.compute_s
            old = speeds[fact.client_id]
            speeds[fact.client_id] = speed if np.isnan(old) else self.beta * old + (1 - self.beta) * speed
        return State(state.arrays, {**state.extras, SPEEDS: speeds})


def filled(speeds: np.ndarray) -> np.ndarray:
    """(m,) speeds, those not known as the mean of the others; all 1 where none is known or above 0."""
    known = speeds[~np.isnan(speeds)]
    if not known.sum() > 0:
        return np.ones(len(speeds))
    return np.where(np.isnan(speeds), known.mean(), speeds)


def divided(batch_size: int, speeds: np.ndarray, most: Sequence[int] | np.ndarray) -> list[int]:
    """Parts of a batch of which the largest part / speed is as small as can be.

    Each part has at least LEAST examples and at most those of its worker; the batch is enlarged, or falls
    short, where that takes it. One example after another goes to the worker that would be done with it first.
    """
    parts = [min(LEAST, int(own)) for own in most]
    with np.errstate(divide="ignore"):
        step_s = (1 / speeds).tolist()
    queue = [((parts[k] + 1) * step_s[k], k) for k in range(len(parts)) if parts[k] < most[k]]
    heapify(queue)
    for _ in range(min(batch_size, int(np.sum(most))) - sum(parts)):
        _, k = queue[0]
        parts[k] += 1
        after = (parts[k] + 1) * step_s[k] if parts[k] < most[k] else np.inf
        heapreplace(queue, (after, k))
    return parts
