"""Model averaging: parallel SGD that restarts from the average of all workers after some steps.

Yu, Yang, Zhu: Parallel Restarted SGD with Faster Convergence and Less Communication: Demystifying Why Model
Averaging Works for Deep Learning. AAAI 2019, arXiv 1807.06629. One average at the end, which is a single
round: Zinkevich, Weimer, Smola, Li: Parallelized Stochastic Gradient Descent. NIPS 2010.

Paper: N workers take local SGD steps and restart from the average of their models after I steps each. With
T steps in all the rate of parallel mini-batch SGD is kept while I is of the order T^(1/4) / N^(3/4); in
Algorithm 3, for heterogeneous networks, a faster worker takes more steps between two averages (statements
from the abstract; equations and constants from memory).

`steps` says where I comes from: what `local` plans; `theory`, floor(T^(1/4) / N^(3/4)) with N = n_clients,
at least 1; or `deadline`, as many steps of each client as its capacity at the start of the round and its link
leave room for, which is Algorithm 3 on the simulated clock. `averaging: plain` is the paper's mean;
`normalised` divides every change by the steps that it took (as `fednova`), since a plain mean of unequal
numbers of steps is drawn to the fast workers.

Differs from the paper: a client weighs what `merge.weight` says (`clients` is the paper's), a round may have
a part of the clients, and the learning rate is `local.lr`, not sqrt(N / T) / L (our choice). With
`steps: deadline` a client of unlimited capacity does what `local` plans, and one without time for a step
begins one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Moment
from distreal_sim.client.task import Task
from distreal_sim.merging.normalised import step_normalised_average
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, whole_network


class ModelAveraging(Method):
    """Full-network SGD that restarts from the average after a number of local steps."""

    steps: Literal["local", "theory", "deadline"] = Field(
        "local",
        description="local steps between two averages: what local plans; floor(T^(1/4) / N^(3/4)); or as "
        "many as each client has time for",
    )
    total_steps: int | None = Field(
        None, ge=1, description="T of steps: theory, local steps of a client in all rounds", examples=[20000]
    )
    averaging: Literal["plain", "normalised"] = Field(
        "plain", description="mean of the models, or of the changes per step, times the mean number of steps"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.steps == "theory") != (self.total_steps is not None):
            raise ValueError("total_steps must be given with steps: theory, and only then")
        return self

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return whole_network(task).levels

    def own_levels(self, client: Client, job: Job) -> Always:
        return whole_network(client.task)

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        return [
            Job(client_id, replace(now, steps=self._steps(task, now, client_id)), state.arrays)
            for client_id in now.cohort
        ]

    def _steps(self, task: Task, now: Round, client_id: int) -> int:
        """Steps of a client's round, 0 for those of `local`."""
        if self.steps == "local":
            return 0
        if self.steps == "deadline":
            return steps_in_time(Client(task, client_id, now))
        assert self.total_steps is not None
        each = steps_by_theory(self.total_steps, len(task.split))
        n_rounds = -(-self.total_steps // each)
        if now.n_rounds != n_rounds:
            raise InputError(
                f"rounds ({now.n_rounds}) must be {n_rounds}: method.total_steps ({self.total_steps}) in "
                f"rounds of {each}, which theory gives for n_clients ({len(task.split)})"
            )
        return min(each, self.total_steps - (now.number - 1) * each)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        if self.averaging == "plain":
            return super().merge(task, state, now, updates)
        weight, momentum = task.merge.weighs_by, task.local.momentum
        merged = step_normalised_average(task.structure, state.arrays, updates, weight, momentum=momentum)
        return State(merged, state.extras)


def steps_by_theory(total_steps: int, n_workers: int) -> int:
    """floor(T^(1/4) / N^(3/4)), at least 1; in integers, since it is the largest I with I^4 N^3 <= T."""
    steps = 1
    while (steps + 1) ** 4 * n_workers**3 <= total_steps:
        steps += 1
    return steps


def steps_in_time(client: Client) -> int:
    """Mini-batches of the whole network that end before the upload must begin, at the capacity of the start.

    At least 1; 0, which stands for those of `local`, where the capacity is unlimited.
    """
    task = client.task
    level = whole_network(task).level
    start_s, end_s = client.compute_window(level.traffic)
    budget = Moment(start_s, end_s, client.capacity(0.0), ()).budget_macs
    epoch = np.cumsum(client.epoch)
    charge = task.charge_per_example(task.full)
    if np.isinf(budget):
        return 0
    whole, rest = divmod(budget, float(charge * epoch[-1]))
    return max(1, int(whole) * len(epoch) + int(np.searchsorted(charge * epoch, rest, side="right")))
