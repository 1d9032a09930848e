"""InclusiveFL: a client trains the first stages of the network, with one classifier behind the last of them.

Liu, Wu, Wu, Wang, Lyu, Chen, Xie: No One Left Behind: Inclusive Federated Learning over Heterogeneous
Devices. KDD 2022, arXiv 2202.08036.

Paper, and its reproduction beside DepthFL in Flower: sub-models of different depths share their first layers;
each has a classifier of its own, and a client trains that of its depth only. A tensor is averaged over the
clients that hold it. The network that is tested is the deepest one.

Differs from the paper:
- No momentum distillation, with which the paper carries what the deeper layers of larger sub-models learn to
  the last layer of smaller ones. It needs layers of equal shape, as transformers have them, and the stages of
  the networks here differ; we also know its formula from memory only. (our choice)
- A client takes the deepest sub-model that fits its capacity at the start of the round, and skips the round
  if none does; the paper gives the depths. (our choice)
- The average is unweighted, as in the reproduction.
- Exits, their costs, and the networks that can have them are those of depthfl. (our choice)
"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import nn

from distreal_sim.capacity import Capacity
from distreal_sim.merging import Weight
from distreal_sim.methods import Fits, Method
from distreal_sim.methods._exits import depths_of, train_depth, with_exits
from distreal_sim.rng import Rngs
from distreal_sim.task import Task
from distreal_sim.thinning.structure import Structure
from distreal_sim.types import Job, Update


class InclusiveFL(Method):
    """The first stages and one classifier."""

    depths: int | None = Field(
        None,
        ge=1,
        description="number of exits, the network's own included; one behind each stage if not given",
    )

    weight: ClassVar[Weight] = "clients"
    trains_parts: ClassVar[bool] = True

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        return with_exits(module, structure, self.depths, average=False)

    def train(self, task: Task, job: Job, capacity: Capacity, rngs: Rngs) -> Update:
        depths = depths_of(task, earlier_exits=False)
        return train_depth(
            task,
            job,
            capacity,
            rngs,
            depths,
            overrun=self.overrun,
            loss_of=lambda s, y: F.cross_entropy(s[0], y),
        )
