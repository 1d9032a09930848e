"""FlexFL: nested sub-models with widths by silent neurons; a weak client trains a smaller one than it was
sent, and smaller ones teach larger ones.

Chen, Jia, Hu, Xie, Li, Chen: FlexFL: Heterogeneous Federated Learning via APoZ-Guided Flexible Pruning in
Uncertain Scenarios. IEEE TCAD 2024, arXiv 2407.12729.

Abstract and official code: every layer has a score 1 - APoZ ln(P) / ln(largest P) by its share of zeros
after the ReLU and its number of parameters P, and a sub-model has the first of its channels, a share of 100
score / g and at most all, with one g for each share of the parameters. The server sends the smallest, the
middle or the largest of five, each as often. A client that is too weak for it trains the largest one that it
can (adaptive local pruning), without another download. Its loss is the cross-entropy plus gamma / m times
the sum of T^2 KL(softmax(z_j / T) || softmax(z_m / T)) over the m smaller sub-models j of the network in
training, as they are in that mini-batch. Coordinates are averaged over the clients that trained them.

Differs from the paper:
- `share: macs` (the default) takes shares of the forward MACs, `params` those of the parameters without the
  classifier, as published. A published pool saves few MACs, for it cuts wide linear layers. (our choice)
- `tolerance: exact` takes the largest sub-model of at most the share. With 0.05, as published, the first
  within so much, which is on the larger side. (our choice)
- APoZ is measured after `pretraining` steps of SGD on training examples that the seed draws; the public code
  takes 100 epochs of Adam on the test set. It counts neither in time nor in bytes, and the federated model
  does not start from it. A layer is a coupling group; one without a ReLU has APoZ 0. (our choice)
- What a client can do follows from its capacity at the start of the round: the MACs of its steps, passes of
  teachers included. In the public code it is a share of the network's size, drawn at every dispatch: profile
  `uncertain` has that law for all methods. The smallest member is always allowed, as there. (our choice)
- Any client may get any member. The code draws a member first and then a client for it, of number 4 or more
  for the middle one and 14 or more for the whole network, numbers that belong to a fleet of 17: `dispatch:
  by_number` draws what a client of the cohort is sent with the odds that this implies. `largest` sends
  everybody the whole network, which is adaptive pruning alone. (our choice)
- Tasks without classes: a member learns from smaller ones' outputs by the task's loss. The memory of a step
  is that of training the member, without the passes of its teachers. (our choice)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.base.text import counted
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import DrawMask, Method
from distreal_sim.recipe.tasks import LearningTask
from distreal_sim.submodels.levels import Always, Level, charged_level, largest_that_fits
from distreal_sim.submodels.prefixes import merge_prefixes, widest_trained
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.widths import SLACK, Share, prefix_masks
from distreal_sim.submodels.zeros import measured_zeros
from distreal_sim.thinning.cost import forward_macs, sizes
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Counts, Structure

SMALLEST_WIDTH = 0.01
FIRST_CLIENTS = (0, 4, 14)
"""The public code sends the first, the middle and the last member to clients from these numbers on."""

LARGEST_G = 10_000
"""Of this g on every layer has the smallest width."""


class FlexFL(Method):
    """The first channels of every layer, by a pool of nested sub-models; smaller ones teach larger ones."""

    shares: tuple[Share, ...] = Field(
        (0.25, 0.4, 0.5, 0.9, 1.0), min_length=1, description="size of each member of the pool, ascending"
    )
    share: Literal["macs", "params"] = Field(
        "macs", description="what the shares are of: forward MACs, or parameters without the classifier"
    )
    tolerance: Literal["exact"] | Annotated[float, Field(gt=0, le=1)] = Field(
        "exact", description="exact: at most the share; a number: the first that is within so much of it"
    )
    apoz: Literal["measured"] | tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        "measured", description="share of zeros after the ReLU of each coupling group"
    )
    proxy: int = Field(500, ge=1, description="training examples on which it is measured")
    pretraining: int = Field(50, ge=0, description="training steps on them before that")
    dispatch: Literal["uniform", "by_number", "largest"] = Field(
        "uniform",
        description="what a client is sent: the first, the middle or the last member by lot; the same, but "
        "clients of small numbers no larger ones, as in the public code; or the last",
    )
    kd_gamma: float = Field(10.0, ge=0, allow_inf_nan=False, description="weight of self-distillation")
    kd_temperature: float = Field(3.0, gt=0, allow_inf_nan=False, description="temperature T of it")

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    @field_validator("shares")
    @classmethod
    def _ascending(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(set(shares)) or shares[-1] != 1:
            raise ValueError(f"shares {list(shares)} must ascend to 1, the whole network")
        return shares

    @property
    def pairs_levels(self) -> bool:
        return self.kd_gamma > 0

    def pool(self, task: Task) -> tuple[Counts, ...]:
        """Kept channels of each member, smallest first."""
        known = task.memo.get("flexfl")
        if known is None or known[0] is not self:
            known = task.memo["flexfl"] = (self, self._pool(task))
        found: tuple[Counts, ...] = known[1]
        return found

    def _pool(self, task: Task) -> tuple[Counts, ...]:
        structure = task.structure
        if self.apoz == "measured":
            apoz = measured_zeros(task, self.proxy, self.pretraining)
        else:
            apoz = np.array(self.apoz)
        if len(apoz) != len(structure.groups):
            names = ", ".join(group.name for group in structure.groups)
            raise InputError(
                f"method.apoz has {counted(len(apoz), 'number')}, and the model has "
                f"{counted(len(structure.groups), 'coupling group')}: {names}"
            )
        size = forward_macs if self.share == "macs" else feature_parameters
        return pool_of(
            structure, scores(apoz, written_parameters(structure)), self.shares, size, self.tolerance
        )

    def sent(self, task: Task, job: Job) -> int:
        """Which member of the pool a client is sent."""
        last = len(self.shares) - 1
        if self.dispatch == "largest":
            return last
        rng = Rngs(task.seed, (job.round.key, job.client_id))("flexfl dispatch")
        if self.dispatch == "uniform":
            return int(rng.integers(3)) * last // 2
        ends = np.cumsum(dispatch_weights(job.client_id, len(task.split)))
        return int(np.searchsorted(ends, rng.random() * ends[-1], side="right")) * last // 2

    def member(self, task: Task, index: int, sent: int) -> Level:
        """The level of a client that trains a member of the pool and was sent this one or a larger one."""
        pool, structure = self.pool(task), task.structure
        down, up = (sizes(structure, pool[i], structure.parameters) for i in (sent, index))
        macs = task.macs_per_example(pool[index])
        if self.kd_gamma:
            macs += sum(forward_macs(structure, counts) for counts in pool[:index])
        level = Level(pool[index], macs, task.traffic(down, up))
        return level if self.pairs_levels else charged_level(task, level)

    def own_levels(self, client: Client, job: Job) -> Always:
        return Always(self._trained(client, job)[1])

    def _trained(self, client: Client, job: Job) -> tuple[int, Level]:
        """(which member of the pool a client trains, its level)."""
        sent = self.sent(client.task, job)
        known = [self.member(client.task, index, sent) for index in range(sent + 1)]
        allowed = [index for index, level in enumerate(known) if client.has_memory_for(level.counts)]
        best = largest_that_fits(client, [known[index] for index in allowed])
        index = 0 if best is None else allowed[best]
        return index, known[index]

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return tuple(self.member(task, index, index) for index in range(len(self.shares)))

    def masks(self, client: Client, job: Job) -> DrawMask:
        return prefix_masks(client.task.structure)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        task, (index, _) = client.task, self._trained(client, job)
        learning, first = task.scoring.learning, prefix_masks(task.structure)
        teachers = [first(0, counts) for counts in self.pool(task)[:index]] if self.kd_gamma else []

        def step(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
            lessons = [engine.forward(x, teacher) for teacher in teachers]
            if not lessons:
                return engine.step(x, y, mask, lr)
            own: list[float] = []

            def loss(outputs: Tensor, labels: Tensor) -> Tensor:
                plain = learning.loss(outputs, labels)
                own.append(plain.item())
                return plain + self.kd_gamma * distillation(
                    learning, outputs, lessons, labels, self.kd_temperature
                )

            engine.step(x, y, mask, lr, loss)
            return own[0]

        return step

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        return merge_prefixes(task, state, updates)

    def widest(self, task: Task, state: State) -> SubModel | None:
        return widest_trained(state)


def dispatch_weights(client_id: int, n_clients: int) -> list[float]:
    """Odds with which a client is sent the first, the middle and the last member, if each goes to one of the
    clients that may get it.
    """
    return [1 / (n_clients - first) if client_id >= first else 0.0 for first in FIRST_CLIENTS]


def scores(apoz: np.ndarray, parameters: Sequence[float]) -> np.ndarray:
    """(G,) 1 - APoZ ln(P) / ln(largest P); apoz: (G,) in [0, 1], parameters: P of each group."""
    logs = np.log(np.maximum(parameters, 1.0))
    found: np.ndarray = 1 - apoz * logs / max(logs.max(initial=0.0), math.log(2))
    return found


def pool_of(
    structure: Structure,
    own: np.ndarray,
    shares: Sequence[float],
    size: Callable[[Structure, Counts], int],
    tolerance: Literal["exact"] | float,
) -> tuple[Counts, ...]:
    """Kept channels of the sub-model of each share; own: (G,) scores; size: of a sub-model."""
    whole = size(structure, structure.full_counts())
    found = []
    for share in shares:
        for g in range(1, LARGEST_G + 1):
            counts = counts_of(structure, own, g)
            ratio = size(structure, counts) / whole
            if ratio <= share + SLACK if tolerance == "exact" else abs(ratio - share) <= tolerance + SLACK:
                break
        found.append(counts)
    return tuple(accumulate(found[::-1], _smaller))[::-1]  # nested, whatever the tolerance


def _smaller(one: Counts, other: Counts) -> Counts:
    return tuple(map(min, one, other))


def counts_of(structure: Structure, own: np.ndarray, g: int) -> Counts:
    """floor(width x channels) of each group, at least one (of each block); width 100 score / g, 0.01 to 1."""
    widths = np.clip(100 * own / g, SMALLEST_WIDTH, 1.0)
    return tuple(
        group.blocks * max(1, math.floor(width * (group.channels // group.blocks) + SLACK))
        for group, width in zip(structure.groups, widths, strict=True)
    )


def written_parameters(structure: Structure) -> list[float]:
    """(G,) parameters that write the channels of each group: weights, biases and norms."""
    found = [0.0] * len(structure.groups)
    for name in structure.parameters:
        layout = structure.tensors[name]
        rows = layout.axes[1 if name in structure.transposed else 0] if layout.axes else ()
        for segment in rows:
            if segment.group >= 0:
                share = segment.size * segment.inner / sum(s.size * s.inner for s in rows)
                found[segment.group] += share * math.prod(layout.shape)
    return found


def feature_parameters(structure: Structure, counts: Counts) -> int:
    """Parameters of a sub-model without its classifier."""
    return sum(sizes(structure, counts, [n for n in structure.parameters if n not in structure.classifier]))


def distillation(
    learning: LearningTask, outputs: Tensor, lessons: Sequence[Tensor], y: Tensor, temperature: float
) -> Tensor:
    """Mean over the lessons of T^2 KL(softmax(lesson / T) || softmax(outputs / T)); lessons are constants.

    outputs, lessons: (n, ..., n_outputs). Where they are no scores of classes: the mean of the losses towards
    the lessons.
    """
    total = outputs.new_zeros(())
    for z in lessons:
        if learning.names_classes:
            own, known = (F.log_softmax(of.flatten(0, -2) / temperature, dim=1) for of in (outputs, z))
            divergence = F.kl_div(own, known, reduction="batchmean", log_target=True)
            total = total + temperature**2 * divergence
        else:
            total = total + learning.loss(outputs, learning.target(z, y))
    return total / len(lessons)
