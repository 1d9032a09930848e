"""InclusiveFL: a client trains the first stages of the network, with one classifier after the last of them.

Liu, Wu, Wu, Wang, Lyu, Chen, Xie: No One Left Behind: Inclusive Federated Learning over Heterogeneous
Devices. KDD 2022, arXiv 2202.08036.

Paper, known to us from its abstract and from two public reproductions, one next to DepthFL in Flower:
sub-models of different depths share their first layers; each has a classifier of its own, and a client trains
that of its depth only. Updates are averaged among sub-models of one depth, and then layer by layer among all
that hold the layer. In between comes momentum distillation, which carries what deeper layers learn to the
last layer of smaller sub-models: with D_s the mean change of that layer in the sub-models of a depth, and D
the mean of the changes, in the sub-models of the next larger depth, of this layer and the layers after it,
the smaller ones count with (1 - beta) D_s + beta D instead of D_s. The network that is tested is the deepest
one.

Differs from the paper:
- beta is 0.2, the value of the public reproduction that has it. That reproduction divides D by the number of
  layers twice; here it is the mean. (our choice)
- A layer is a residual block or a layer with its norm; the paper's networks are transformers, whose layers
  are all alike. Here D is the mean over those whose parameters have the same shapes, and the layer itself is
  always among them. Classifiers take no part. (our choice)
- The next larger depth is the next one of which the round has an update; without one nothing is
  distilled. (our choice)
- A client takes the deepest sub-model that fits its capacity at the start of the round, and skips the round
  if none does; the paper gives the depths. (our choice)
- The average is weighted by examples, as in one reproduction; `merge.weight: clients` is Flower's unweighted
  one. The server has no optimiser of its own, where the first reproduction has Adam. (our choice)
- Exits, their costs, and the networks that can have them are those of depthfl. (our choice)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import nn

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.merging.average import client_weight, weighted_average
from distreal_sim.methods import Fits, Method
from distreal_sim.submodels.depths import (
    deepest_trained,
    depth_of,
    depth_steps,
    depths_of,
    layers_of,
    with_deepest,
)
from distreal_sim.submodels.exits import with_exits
from distreal_sim.submodels.levels import Level, PerRound
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.structure import Structure

Layer = tuple[str, ...]
"""The names of its parameters."""


class InclusiveFL(Method):
    """The first stages and one classifier."""

    depths: int | None = Field(
        None,
        ge=1,
        description="number of exits, the network's own included; one after each stage if not given",
    )
    beta: float = Field(
        0.2,
        ge=0,
        le=1,
        description="momentum distillation: share of the next larger sub-models' change in that of the last "
        "layer of smaller ones; 0: none",
    )

    trains_parts: ClassVar[bool] = True

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        return with_exits(module, structure, self.depths, average=False)

    def levels(self, task: Task) -> PerRound:
        return PerRound(tuple(depth.level for depth in depths_of(task, earlier_exits=False)))

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        depths = depths_of(client.task, earlier_exits=False)
        loss = client.task.scoring.learning.loss
        return depth_steps(client.task, level, depths, lambda scores, y: loss(scores[0], y))

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        weight = task.merge.weighs_by
        depths = depths_of(task, earlier_exits=False)
        layers = layers_of(task, depths)
        changes: list[dict[str, np.ndarray]] = [
            {name: np.zeros(state.arrays[name].shape) for name in _needed(task.structure, layers, depth)}
            for depth in range(len(depths))
        ]
        weights = [0.0] * len(depths)

        def watched() -> Iterator[Update]:
            for update in updates:
                depth, own = depth_of(update, depths), client_weight(update, weight)
                weights[depth] += own
                for name, change in changes[depth].items():
                    change += own * (update.arrays[name].astype(float) - state.arrays[name])
                yield update

        merged = weighted_average(task.structure, state.arrays, watched(), weight)
        trained = [depth for depth, total in enumerate(weights) if total]
        for small, large in pairwise(trained):
            share = self.beta * weights[small] / sum(weights[small:])  # all that are deeper hold it too
            teachers = matching(task.structure, layers, small, large)
            for place, name in enumerate(layers[small][-1]):
                lesson = sum(changes[large][layer[place]] for layer in teachers) / len(teachers)
                moved = share * (lesson / weights[large] - changes[small][name] / weights[small])
                # Where nothing changes the bytes stay (-0.0 too).
                value = merged[name]
                merged[name] = np.where(moved == 0, value, (value + moved).astype(value.dtype))
        return with_deepest(State(merged, state.extras), trained)

    def widest(self, task: Task, state: State) -> SubModel | None:
        return deepest_trained(task, state)


def matching(structure: Structure, layers: Sequence[Sequence[Layer]], small: int, large: int) -> list[Layer]:
    """The last layer of the sub-models of depth `small`, and those like it after it in depth `large`."""

    def shapes(layer: Layer) -> list[tuple[int, ...]]:
        return [structure.tensors[name].shape for name in layer]

    last = layers[small][-1]
    deeper = layers[large][len(layers[small]) :]
    return [last, *(layer for layer in deeper if shapes(layer) == shapes(last))]


def _needed(structure: Structure, layers: Sequence[Sequence[Layer]], depth: int) -> set[str]:
    """The parameters whose changes at this depth teach or are taught."""
    taught = [] if depth == len(layers) - 1 else [layers[depth][-1]]
    teaching = [layer for small in range(depth) for layer in matching(structure, layers, small, depth)]
    return {name for layer in [*taught, *teaching] for name in layer}
