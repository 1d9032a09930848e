"""FIARSE: a client trains the weights of largest magnitude, one by one, whatever channel they belong to.

Wu, Wang, Wang, Liu, Su, Gao: FIARSE: Model-Heterogeneous Federated Learning via Importance-Aware
Submodel Extraction. NeurIPS 2024, arXiv 2407.19389.

Single weights cannot be left out of a dense computation. So this method SAVES NO MACs here: every client is
charged for the full network, and one that is too slow for it is late. It saves bytes only. Compare it with
others at equal capacities, not at unequal ones.

Paper and its public code: of the d weights and biases of all convolutions and linear layers a client of size
gamma gets the int(gamma d) of largest magnitude; theta is the smallest of these magnitudes. It computes with
w where |w| >= theta and with 0 elsewhere, theta being fixed for the round, so that a weight may fall out. The
gradient takes account of what a change does to the mask: it is multiplied by
1 + 2 theta |w| / (|w| + theta)^2, which is 1.5 at the threshold and nears 1 far above it. The server adds to
each weight the mean change of the clients that changed it.

Differs from the paper:
- Sizes are given: an equal share of the clients, drawn once, has each of `levels`. (our choice)
- A weight that a client did not get keeps its value, whatever weight decay would do to it; so what it changes
  is what it got. One that falls out during the round still has momentum and weight decay. (our choice)
- With gamma 1 theta is 0 and the steps are plain ones. (our choice)
- Norms are no part of d: they are trained and sent whole. As the weights' places follow from the server's
  model, no places are sent. (derived)
- The mean change is weighted by examples; `merge.weight: clients` is the paper's unweighted one. (our choice)
- The tested model is the whole one; the paper also tests the sub-model of each size. (our choice)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.coding import Parts
from distreal_sim.client.messages import Arrays, Job, Round, State, Update
from distreal_sim.client.schedule import Choice
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip, train
from distreal_sim.merging.average import client_weight
from distreal_sim.methods import Method
from distreal_sim.submodels.widths import Share
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure


class Fiarse(Method):
    """The weights of largest magnitude; charged as the full network."""

    shares: tuple[Share, ...] = Field(
        (1.0, 0.25, 0.0625, 0.015625),
        min_length=1,
        description="shares of weights, of which each client has one forever",
    )

    trains_parts: ClassVar[bool] = True

    def train(self, client: Client, job: Job) -> Update:
        task = client.task
        if not client.has_memory_for(task.full):
            return skip(client, "out_of_memory")
        theta, held = self.held(task, job)
        n_held = [int(mask.sum()) for mask in held.values()]
        n_others = [array.size for name, array in job.arrays.items() if name not in held]

        def run(module: nn.Module, x: Tensor) -> Any:
            own = dict(module.named_parameters())
            return functional_call(module, {name: large_weights(own[name], theta) for name in held}, (x,))

        def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
            return engine.step(x, y, mask, lr, run=run if theta else None)

        traffic = task.traffic([*n_held, *n_others])
        choice = Choice(task.full, task.macs_per_example(task.full), compute=compute)
        update = train(client, job, lambda moment: choice, traffic)
        arrays = {
            name: np.where(held[name], array, job.arrays[name]) if name in held else array
            for name, array in update.arrays.items()
        }
        return replace(update, arrays=arrays)

    def held(self, task: Task, job: Job) -> tuple[float, dict[str, np.ndarray]]:
        """(threshold of a client's weights, masks of those that it holds by the names of arrays)."""
        names = masked_names(task.structure)
        theta = threshold(job.arrays, names, self.share(task, job.client_id))
        return theta, {name: np.abs(job.arrays[name]) >= theta for name in names}

    def travels(self, task: Task, job: Job, update: Update) -> Parts:
        return self.held(task, job)[1]

    def share(self, task: Task, client_id: int) -> float:
        """The share of weights that a client gets."""
        n_clients = len(task.split)
        place = places(task.seed, n_clients)[client_id]
        return self.shares[int(place) * len(self.shares) // n_clients]

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        weight = task.merge.weighs_by
        totals = {name: np.zeros(array.shape) for name, array in state.arrays.items()}
        weights = {name: np.zeros(array.shape) for name, array in state.arrays.items()}
        for update in updates:
            own = client_weight(update, weight)
            for name, array in update.arrays.items():
                change = array.astype(float) - state.arrays[name]
                totals[name] += own * change
                weights[name] += own * (change != 0)
        merged = {}
        for name, old in state.arrays.items():
            someone = weights[name] > 0
            mean = totals[name] / np.where(someone, weights[name], 1.0)
            merged[name] = np.where(someone, (old + mean).astype(old.dtype), old)
        return State(merged, state.extras)


@lru_cache(maxsize=2)
def places(seed: int, n_clients: int) -> np.ndarray:
    """(n_clients,) place of each client in a random order of all; drawn once, not for every client."""
    return Rngs(seed)("fiarse levels").permutation(n_clients)


def masked_names(structure: Structure) -> list[str]:
    """The weights and biases of convolutions and linear layers, of which clients may get a part."""
    modules = {layer.module for layer in structure.layers}
    return [name for name in structure.parameters if name.rpartition(".")[0] in modules]


def threshold(arrays: Arrays, names: Collection[str], share: float) -> float:
    """The int(share * d)-th largest magnitude of all d elements (the largest, if that is none); 0 for all."""
    if share == 1:
        return 0.0
    magnitudes = np.concatenate([np.abs(arrays[name]).ravel() for name in names])
    n_held = max(1, int(share * len(magnitudes) + 1e-9))
    place = len(magnitudes) - n_held
    return float(np.partition(magnitudes, place)[place])


def large_weights(weights: Tensor, theta: float) -> Tensor:
    """The weights of magnitude theta or more, 0 for others; its gradient is the paper's, not the true one."""
    large: Tensor = _LargeWeights.apply(weights, theta)  # type: ignore[no-untyped-call]
    return large


class _LargeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, theta: float) -> Tensor:
        ctx.save_for_backward(weights)
        ctx.theta = theta
        return torch.where(weights.abs() >= theta, weights, 0.0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        size, theta = weights.abs(), ctx.theta
        factor = 1 + 2 * theta * size / (size + theta) ** 2
        return torch.where(size >= theta, grad * factor, 0.0), None
