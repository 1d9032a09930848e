"""DepthFL: a client trains the first stages of the network, with a classifier after each of them.

Kim, Yu, Kim, Moon: DepthFL: Depthwise Federated Learning for Heterogeneous Clients. ICLR 2023.

Paper and its public reproduction in Flower: a client of depth d holds the first d stages and classifiers 1
to d. Its loss is the sum of their cross-entropies, plus lambda(t) / (d - 1) times the sum over all pairs i, j
of KL(softmax(z_j) || softmax(z_i)) with z_j held constant: each classifier learns from all the others.
lambda(t) = exp(-5 (1 - min(t, 300) / 300)^2). A tensor is averaged over the clients that hold it, unweighted.
In tests the scores of all classifiers are averaged.

Differs from the paper:
- A client takes the deepest sub-model that fits its capacity at the start of the round, and skips the round
  if none does; the paper gives the depths, in equal shares. (our choice)
- The exits are global average pooling and a linear layer, in pre-activation networks after norm and ReLU;
  the paper's also have attention and a separable convolution, so that they cost more and know more. What they
  cost here is counted, in MACs and in bytes. (our choice)
- A tensor's average is weighted by examples; `merge.weight: clients` is the paper's unweighted one.
  (our choice)
- FedAvg of the sub-models, the paper's variant without FedDyn; there is none with it.
- Tasks without classes: an exit learns from another one's outputs by the task's loss. (our choice)
- t is the number of rounds before this one, so that lambda begins with exp(-5). (our choice)
- Networks: resnet20, resnet18, preresnet, and those that are an nn.Sequential with pooling between its
  convolutions, a stage ending with each pool; others are refused. (our choice)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import Fits, Method
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.submodels.depths import deepest_trained, depth_steps, depths_of, merge_depths
from distreal_sim.submodels.exits import with_exits
from distreal_sim.submodels.levels import Level, PerRound
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.structure import Structure


class DepthFL(Method):
    """The first stages and all their classifiers, which teach each other."""

    depths: int | None = Field(
        None,
        ge=1,
        description="number of exits, the network's own included; one after each stage if not given",
    )
    distil: bool = Field(True, description="whether the exits learn from each other")
    ramp_rounds: int = Field(300, ge=1, description="rounds until distillation has its full weight")

    trains_parts: ClassVar[bool] = True

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        return with_exits(module, structure, self.depths, average=True)

    def levels(self, task: Task) -> PerRound:
        return PerRound(tuple(depth.level for depth in depths_of(task, earlier_exits=True)))

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        strength = ramp(client.round.number - 1, self.ramp_rounds) if self.distil else 0.0

        def loss_of(scores: list[Tensor], y: Tensor) -> Tensor:
            return mutual_loss(client.task.scoring.learning, scores, y, strength)

        return depth_steps(client.task, level, depths_of(client.task, earlier_exits=True), loss_of)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        return merge_depths(task, state, now, updates, depths_of(task, earlier_exits=True))

    def widest(self, task: Task, state: State) -> SubModel | None:
        return deepest_trained(task, state)


def ramp(t: int, length: int) -> float:
    """lambda(t): the weight of distillation after t rounds, from exp(-5) to 1."""
    return math.exp(-5 * (1 - min(t, length) / length) ** 2)


def mutual_loss(learning: LearningTask, scores: list[Tensor], y: Tensor, strength: float) -> Tensor:
    """Sum of the losses, and strength / (d - 1) times that of KL(j || i) over all pairs of exits.

    Where the outputs are no scores of classes: times the sum of the losses of exit i towards exit j.
    """
    loss = learning.loss(scores[0], y)
    for own in scores[1:]:
        loss = loss + learning.loss(own, y)
    if strength == 0 or len(scores) == 1:
        return loss
    logs = [F.log_softmax(own, dim=1) for own in scores] if learning.names_classes else scores
    for i, own in enumerate(logs):
        for j, other in enumerate(logs):
            if i == j:
                continue
            if learning.names_classes:
                lesson = F.kl_div(own, other.detach(), reduction="batchmean", log_target=True)
            else:
                lesson = learning.loss(own, learning.target(other.detach(), y))
            loss = loss + strength / (len(scores) - 1) * lesson
    return loss
