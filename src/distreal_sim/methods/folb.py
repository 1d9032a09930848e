"""FOLB: clients also send the gradient of the global model, whose inner products weigh their updates.

Nguyen, Sehwag, Hosseinalipour, Brinton, Chiang, Poor: Fast-Convergent Federated Learning. IEEE JSAC
39(1):201-218, 2021, arXiv 2007.13137 (abstract; equations from memory).

Paper: a client k solves F_k(w) + mu / 2 |w - w_t|^2 inexactly and returns its change D_k and the gradient g_k
of F_k at w_t. With g the mean of the g_k
    w = w_t + sum over k of I_k D_k / (sum over j of |I_j|),   I_k = <g_k, g> - psi gamma_k |g|^2
where gamma_k = |gradient at the end| / |g_k| says how little the client has solved its problem; with psi = 0
it does not matter. With two sets (`sets: 2`) the clients of the second send only their gradients, of which
the denominator is made. The sampler that the paper's bound is derived from is `selection: inner_product`.

What it costs: a pass for a gradient takes as much as an epoch of training and comes before the steps; with
psi a second one comes after them. A client sends as many numbers as two models, one of the second set as one.

Differs from the paper: the sets are two random halves of the cohort, without repetition, where the paper
draws both with repetition; a client weighs what `merge.weight` says in g and in both sums (`clients` is the
paper's). A client that has no time left for its second pass counts with gamma = 1, as if it had solved
nothing, and the gradient of one that is stopped in its first pass is that of the examples that it has seen,
if `overrun` merges it. If all I_k are 0 the mean of the changes is taken (our choice).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.columns import Column
from distreal_sim.client.gradients import GradientSum, gradient_of, with_gradient
from distreal_sim.client.messages import Arrays, Job, Round, State, Update
from distreal_sim.client.schedule import Choice, Compute, keep_all
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip, train
from distreal_sim.merging.average import client_weight
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, charged_level
from distreal_sim.submodels.steps import proximal_steps
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask

GAMMA = Column("gamma", "norm of its gradient after its steps / before them; 1 where it had no time", "mean")


class Folb(Method):
    """FedProx with updates weighted by inner products of gradients."""

    mu: float = Field(0.0, ge=0, allow_inf_nan=False, description="strength of a proximal term (see fedprox)")
    sets: int = Field(
        1,
        ge=1,
        le=2,
        description="2: a half of the cohort sends gradients only, and the denominator is made of them",
    )
    psi: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="how much a badly solved local problem counts against"
    )

    columns: ClassVar[tuple[Column, ...]] = (GAMMA,)

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return (level_of(task),)

    def own_levels(self, client: Client, job: Job) -> Always:
        return Always(level_of(client.task))

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        asked = second_set(task.seed, now) if self.sets == 2 else frozenset()
        rounds = {True: replace(now, asks="gradient"), False: now}
        return [Job(client_id, rounds[client_id in asked], state.arrays) for client_id in now.cohort]

    def train(self, client: Client, job: Job) -> Update:
        task = client.task
        if not client.has_memory_for(task.full):
            return skip(client, "out_of_memory")
        level = charged_level(task, level_of(task))
        epoch, own = client.epoch, client.batch_sizes
        work = Work(len(epoch), len(own), proximal_steps(self.mu))
        after = epoch if self.psi else []
        update = train(
            replace(client, planned=(*epoch, *own, *after)),
            job,
            lambda moment: Choice(level.counts, level.macs_per_example, keep_all, work, level.charged_macs),
            level.traffic,
        )
        if not update.is_merged or not task.computes:
            return update
        gradient = work.before.mean({name: job.arrays[name] for name in task.engine.names})
        if after:
            update = update.reporting(gamma=self._gamma(work, update, job.arrays, gradient))
        return with_gradient(update, gradient)

    def _gamma(self, work: Work, update: Update, begun: Arrays, gradient: Arrays) -> float:
        """|gradient of the local problem at the end| / |gradient at the start|."""
        if update.facts.status != "completed":
            return 1.0
        last = work.after.mean(gradient)
        ends = [last[n] + self.mu * (update.arrays[n] - begun[n]) for n in gradient]
        first = norm(gradient.values())
        return norm(ends) / first if first else 1.0

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        found = [Told.of(update, state.arrays, task) for update in updates]
        changed = [told for told in found if told.changes is not None]
        if not changed:
            return state
        asked = [told for told in found if told.changes is None] or changed
        weights = shares(changed, asked, self.psi)
        merged = {}
        for name, value in state.arrays.items():
            moves = [c * told.changes[name] for c, told in zip(weights, changed, strict=True) if told.changes]
            total = np.sum(moves, axis=0)
            merged[name] = np.where(total == 0, value, (value + total).astype(value.dtype))
        return State(merged, state.extras)


def level_of(task: Task) -> Level:
    """The whole network; it travels back with a gradient."""
    sizes = task.model_sizes
    return Level(task.full, task.macs_per_example(task.full), task.traffic(sizes, (*sizes, *sizes)))


def second_set(seed: int, now: Round) -> frozenset[int]:
    """A random half of the cohort, rounded down."""
    rng = Rngs(seed, (now.key,))("second set")
    return frozenset(rng.permutation(np.array(now.cohort, np.int64))[: len(now.cohort) // 2].tolist())


@dataclass
class Work:
    """The steps of a client's round in their order: a pass for a gradient, training, another pass."""

    n_before: int
    n_steps: int
    trains: Compute
    before: GradientSum = field(default_factory=GradientSum)
    after: GradientSum = field(default_factory=GradientSum)
    n_done: int = 0

    def __call__(self, engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        place, self.n_done = self.n_done, self.n_done + 1
        if self.n_before <= place < self.n_before + self.n_steps:
            return self.trains(engine, x, y, mask, lr)
        return (self.before if place < self.n_before else self.after).add(engine, x, y)


@dataclass(frozen=True)
class Told:
    """What a client sent: its weight, its gradient as one vector, its gamma, and how it changed the model."""

    weight: float
    gradient: np.ndarray
    gamma: float
    changes: Mapping[str, np.ndarray] | None

    @classmethod
    def of(cls, update: Update, model: Arrays, task: Task) -> Told:
        """changes: None for a client of the second set."""
        own = gradient_of(update)
        vector = np.concatenate([own[name].ravel() for name in sorted(own)], dtype=float)
        names = [name for name in update.arrays if name in model]
        changes = {n: update.arrays[n] - model[n].astype(float) for n in names} or None
        gamma = update.metrics.get("gamma", 0.0)
        return cls(client_weight(update, task.merge.weighs_by), vector, gamma, changes)


def shares(changed: Sequence[Told], asked: Sequence[Told], psi: float) -> list[float]:
    """What each change counts; those of changed = asked add up to 1 in size."""
    numerators, of = ([told.weight * i for told, i in _products(own, psi)] for own in (changed, asked))
    total = sum(abs(product) for product in of)
    if not total:
        numerators, total = [told.weight for told in changed], sum(told.weight for told in changed)
    return [product / total for product in numerators]


def _products(of: Sequence[Told], psi: float) -> list[tuple[Told, float]]:
    """I of each client, with the mean gradient of them all."""
    mean = np.average([told.gradient for told in of], axis=0, weights=[told.weight for told in of])
    length = float(mean @ mean)
    return [(told, float(told.gradient @ mean) - psi * told.gamma * length) for told in of]


def norm(arrays: Iterable[np.ndarray]) -> float:
    """Length of all of them as one vector."""
    return float(np.sqrt(sum(np.square(array, dtype=float).sum() for array in arrays)))
