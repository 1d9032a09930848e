"""Astraea: mediators whose clients train one after another and together hold all classes evenly.

Duan, Liu, Chen, Tan, Ren, Qiao, Liang: Astraea: Self-Balancing Federated Learning for Improving
Classification Accuracy of Mobile Deep Learning Applications. ICCD 2019, arXiv 1907.01132; extended in IEEE
TPDS 32, 59-71, 2021. From the abstracts and third-party code (not the authors'):

1. Rebalancing, the z-score form of that code: of a class with z = (count - mean) / std below `rare` every
   example is used so often that the class counts mean - std sqrt(z rare), and of one above `common` examples
   are left out until it counts mean + std sqrt(z common). Thresholds -1 / 3 and 3 are that code's.
2. Rescheduling: a mediator takes, again and again, the client with which the classes of all its clients come
   nearest to an even distribution (least KL divergence), until it has `gamma` clients.
3. Training: the clients of a mediator train one after another, each from the model of the one before; the
   server averages the mediators' models by their clients' weights.

Time of a mediator is the sum of its clients' times, and a round lasts until the last mediator is done, at
least deadline_s unless `round_end: early`. deadline_s is a client's, from its own start. With |w| bytes of a
model, c clients cause 2 |w| (c + ceil(c / gamma)) bytes; those of the mediators are `mediator_bytes`.

Differs from the paper: copies of rare examples are as `local.augment` makes them, which changes all images,
not copies only (`affine` has the paper's rotations, shears, scales and shifts); which examples are copied or
left out is drawn once for each client. One pass of a mediator over its clients a round, not E_m. Mediators
are drawn in every round, in random order: with a fixed order all mediators end on the same classes. Data
without classes: mediators of random clients. The transfers of mediators take no time. (our choice)
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, whole_network


class Astraea(Method):
    """FedAvg over mediators, in which clients train one after another, of rebalanced classes."""

    gamma: int = Field(5, ge=1, description="clients of a mediator")
    grouping: Literal["even", "random"] = Field(
        "even", description="mediators of even classes, or of random clients"
    )
    target: Literal["uniform", "global"] = Field(
        "uniform",
        description="the distribution of classes that mediators come near to: uniform, or that of all",
    )
    shuffle: bool = Field(True, description="clients are looked at in random order, not by their numbers")
    rare: float | None = Field(
        -1 / 3,
        lt=0,
        allow_inf_nan=False,
        description="z-score below which a class is augmented; null: none is",
    )
    common: float | None = Field(
        3.0, gt=0, allow_inf_nan=False, description="z-score above which a class is cut; null: none is"
    )

    relays: ClassVar[bool] = True

    def own_levels(self, client: Client, job: Job) -> Always:
        return whole_network(client.task)

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return whole_network(task).levels

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        order = list(now.cohort)
        if self.shuffle:
            order = Rngs(task.seed, (now.number,))("mediators").permutation(order).tolist()
        n = len(order)
        groups: list[list[int]] = [list(range(n))[k : k + self.gamma] for k in range(0, n, self.gamma)]
        if self.grouping == "even" and (all_counts := class_counts(task)) is not None:
            counts = np.array([self._counts(task, client_id) for client_id in order])
            target = np.ones(counts.shape[1]) if self.target == "uniform" else all_counts
            groups = mediators(counts, self.gamma, target)
        after = {order[b]: order[a] for group in groups for a, b in pairwise(group)}
        return [Job(c, now, state.arrays, after=after.get(c)) for c in now.cohort]

    def examples(self, client: Client, job: Job) -> np.ndarray | None:
        return self._rebalanced(client.task, client.id)

    def _rebalanced(self, task: Task, client_id: int) -> np.ndarray | None:
        """Indices of a client's examples, copies included; None for each once."""
        if (counts := class_counts(task)) is None:
            return None
        times = factors(counts, self.rare, self.common)
        if (times == 1).all():
            return None
        own = task.split[client_id]
        wanted = times[task.data.train.y[own]]
        u = Rngs(task.seed, (client_id,))("rebalancing").random(len(own))
        chosen = np.repeat(own, np.floor(wanted + u).astype(int))
        return chosen if len(chosen) > 1 else None

    def _counts(self, task: Task, client_id: int) -> np.ndarray:
        """(n_classes,) examples of each class that a client trains on."""
        known = task.memo.setdefault("class counts", {})
        key = self, client_id
        if key not in known:
            chosen = self._rebalanced(task, client_id)
            own = task.split[client_id] if chosen is None else chosen
            known[key] = np.bincount(task.data.train.y[own], minlength=task.data.n_outputs)
        counts: np.ndarray = known[key]
        return counts


def class_counts(task: Task) -> np.ndarray | None:
    """(n_classes,) training examples of each class, of all clients; None for data without classes."""
    y = task.data.train.y
    if y.ndim > 1 or not task.scoring.learning.names_classes:
        return None
    if "all class counts" not in task.memo:
        own = np.concatenate([task.split[client_id] for client_id in range(len(task.split))])
        task.memo["all class counts"] = np.bincount(y[own], minlength=task.data.n_outputs)
    counts: np.ndarray = task.memo["all class counts"]
    return counts


def factors(counts: np.ndarray, rare: float | None, common: float | None) -> np.ndarray:
    """(n_classes,) how often the examples of each class are used, on average."""
    counts = counts.astype(float)
    mean, std = counts.mean(), counts.std(ddof=1) if len(counts) > 1 else 0.0
    target = counts.copy()
    if std > 0:
        z = (counts - mean) / std
        if rare is not None:
            target = np.where(z < rare, mean - std * np.sqrt(np.maximum(z * rare, 0)), target)
        if common is not None:
            target = np.where(z > common, mean + std * np.sqrt(np.maximum(z * common, 0)), target)
    found: np.ndarray = np.divide(target, counts, out=np.ones(len(counts)), where=counts > 0)
    return found


def divergence(counts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(...,) KL divergence of class counts (..., n_classes) from a target (n_classes,), both normalised."""
    p, q = counts / counts.sum(axis=-1, keepdims=True), target / target.sum()
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    found: np.ndarray = (p * np.log(ratio)).sum(axis=-1)
    return found


def mediators(counts: np.ndarray, gamma: int, target: np.ndarray) -> list[list[int]]:
    """Groups of at most gamma clients, in the order of their choice; every client is in one.

    counts: (n_clients, n_classes). A group takes the client with which it comes nearest to the target, of
    equal ones the first.
    """
    left, groups = list(range(len(counts))), []
    while left:
        group, total = list[int](), np.zeros(counts.shape[1])
        while left and len(group) < gamma:
            best = int(np.argmin(divergence(total + counts[left], target)))
            total = total + counts[left[best]]
            group.append(left.pop(best))
        groups.append(group)
    return groups
