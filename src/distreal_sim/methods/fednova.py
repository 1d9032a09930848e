"""FedNova: updates are divided by how many steps they took, so that fast clients do not pull the model.

Wang, Liu, Liang, Joshi, Poor: Tackling the Objective Inconsistency Problem in Heterogeneous Federated
Optimization. NeurIPS 2020, arXiv 2007.07481.

Paper: client i does tau_i steps; |a_i| is the L1 norm of the weights with which its gradients enter its
update (tau_i for plain SGD, more with momentum, less with a proximal term). With d_i = (w_t - w_i) / (lr
|a_i|) the server sets w = w_t - tau_eff lr sum_i p_i d_i, where p_i is the client's share of the examples and
tau_eff = sum_i p_i |a_i|, or sum_i p_i tau_i with the proximal term.

How it meets a learning rate that changes over the rounds: lr is one number in a round, so it cancels. It is
needed only for |a_i| with a proximal term, where it is that of the round.

Differs from the paper: steps differ because of capacities and the deadline (`overrun: partial`, the default),
not because epochs are drawn; p_i is the share of another weight if `merge.weight` is set (our choice). Under
a `local.optimizer` other than SGD, whose steps are no sums of gradients, |a_i| is tau_i (our choice). With
momentum and proximal term at once, |a_i| is that of the steps really taken, in which the momentum carries the
proximal term along (derived); weight decay counts as part of the gradient. No momentum on the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Arrays, Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.merging.average import client_weight, weighted_average
from distreal_sim.methods import Method
from distreal_sim.recipe.optimizers.sgd import Sgd
from distreal_sim.submodels.levels import Always, Level, whole_network
from distreal_sim.submodels.steps import proximal_steps


class FedNova(Method):
    """FedAvg of updates normalised by their number of steps."""

    mu: float = Field(0.0, ge=0, allow_inf_nan=False, description="strength of a proximal term (see fedprox)")

    def levels(self, task: Task) -> Always:
        return whole_network(task)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        return proximal_steps(self.mu)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        weight = task.merge.weighs_by
        mu = self.mu if isinstance(task.local.optimizer, Sgd) else 0.0
        effective = everyone = 0.0

        def per_step() -> Iterator[Update]:
            nonlocal effective, everyone
            for update in updates:
                norm = gradient_norm(update.n_steps, now.lr, task.local.momentum, mu)
                own = client_weight(update, weight)
                effective += own * (update.n_steps if self.mu else norm)
                everyone += own
                yield replace(update, arrays=_moved(state.arrays, update.arrays, 1 / norm))

        still = {name: np.zeros(value.shape) for name, value in state.arrays.items()}
        mean = weighted_average(task.structure, still, per_step(), weight)
        tau = effective / everyone if everyone else 0.0
        merged = {name: _added(value, tau * mean[name]) for name, value in state.arrays.items()}
        return State(merged, state.extras)


def gradient_norm(n_steps: int, lr: float, momentum: float, mu: float) -> float:
    """|a|: the sum of the absolute weights of a client's gradients in (w_t - w) / lr after n_steps.

    A gradient moves the velocity u by 1; then u <- momentum u - lr mu y, y <- y + u, y being how far the
    parameters have come. Every gradient has the same response, cut off after the last step.
    """
    velocity = moved = 1.0
    total = 0.0
    for _ in range(n_steps):
        total += abs(moved)
        velocity = momentum * velocity - lr * mu * moved
        moved += velocity
    return total


def _moved(old: Arrays, new: Arrays, factor: float) -> dict[str, np.ndarray]:
    """factor * (new - old) in float64."""
    return {name: factor * (value - old[name].astype(float)) for name, value in new.items()}


def _added(old: np.ndarray, change: np.ndarray) -> np.ndarray:
    """old + change in the type of old; where nothing changes, its bytes stay (-0.0 too)."""
    return np.where(change == 0, old, (old + change).astype(old.dtype))
