"""FjORD: ordered dropout, a client's mini-batches keeping the first channels of all layers to random widths.

Horvath, Laskaridis, Almeida, Leontiadis, Venieris, Lane: FjORD: Fair and Accurate Federated Learning under
heterogeneous targets with Ordered Dropout. NeurIPS 2021, arXiv 2102.13451.

Paper and the public code by two of its authors: ordered dropout keeps the first ceil(p K) of K units of every
hidden layer, one p for all layers, drawn for each mini-batch uniformly from the widths up to p_max, which is
the client's. With self-distillation a step goes through the network of width p_max with the labels, then
through that of width p with the outputs of the first as targets, held constant; one optimiser step follows
along the sum of both gradients. The server averages what each client holds, the first p_max of all layers,
weighted by its examples.

Differs from the paper:
- p_max is no property of a class of devices. The client first draws a number u in [0, 1) for each step, which
  takes the floor(u n)-th of the n widths up to p_max. p_max is the largest with which the work so drawn, both
  passes of a distilled step counted, ends in time at the capacity of the start of the round; a client for
  which no width fits skips the round. So it is the work that the client will really do that counts, not its
  expectation, and p_max depends a little on the draws. (our choice)
- p_max is fixed for the round, and only what it keeps is sent. (our choice)
- What a client holds counts as trained in each of its steps, for weights by steps too (`merge.weight`).
  (our choice)
- Units beyond a step's width rest in it, momentum and weight decay included; in the public code weight decay
  continues to shrink them. With distillation everything up to p_max moves in every step. (our choice)
- No batch-norm statistics of each width are kept: they are re-estimated before tests. (our choice)
- Channels of a concatenation are counted part by part. (our choice)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from distreal_sim.client.client import Client
from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Choice, Moment, plain_step
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip, train
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Level, charged_level
from distreal_sim.submodels.prefixes import merge_prefixes, widest_trained
from distreal_sim.submodels.steps import distil_step
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.widths import Widths, of_widths, prefix_masks
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask


class Fjord(Method):
    """Ordered dropout with a width drawn for each mini-batch."""

    widths: Widths = Field(
        (0.2, 0.4, 0.6, 0.8, 1.0), description="shares of channels that a step may keep; n: 1/n, 2/n, ..., 1"
    )
    distil: bool = Field(
        False, description="self-distillation: each step also trains the client's largest width, its teacher"
    )

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    @property
    def pairs_levels(self) -> bool:
        return self.distil

    @property
    def redraws(self) -> bool:
        return True

    def train(self, client: Client, job: Job) -> Update:
        task = client.task
        draws = client.rngs("widths").random(len(client.batch_sizes))
        levels = tuple(own for own in self.all_levels(task) if client.has_memory_for(own.counts))
        if not levels:
            return skip(client, "out_of_memory")
        largest = self.largest(client, levels, draws)
        if largest is None:
            return skip(client)
        steps, held = drawn(levels, largest, draws), levels[largest]
        first = prefix_masks(task.structure)
        teacher = first(0, held.counts)
        teacher_macs = held.macs_per_example if self.distil else 0

        def distil(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
            return distil_step(task.scoring.learning, engine, x, y, teacher, mask, lr)

        def choose(moment: Moment) -> Choice:
            level = steps[moment.step]
            return Choice(
                level.counts,
                teacher_macs + level.macs_per_example,
                partial(first, moment.step, level.counts),
                distil if self.distil else plain_step,
                level.charged_macs,
            )

        update = train(client, job, choose, held.traffic)
        if not update.is_merged:
            return update
        holding = [teacher] * update.n_steps  # whatever its steps kept of it
        examples, macs = update.coverage.examples, update.coverage.macs
        return replace(update, coverage=Coverage.of(task.structure, holding, examples, macs))

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        """The widths as sub-models, narrowest first."""
        levels = of_widths(task, sorted(set(self.widths)), "ceil").levels
        return levels if self.distil else tuple(charged_level(task, level) for level in levels)

    def largest(self, client: Client, levels: Sequence[Level], draws: np.ndarray) -> int | None:
        """Index of p_max; None if no width fits. draws: (n_steps,) u of each planned step."""
        sizes = client.batch_sizes
        for index in reversed(range(len(levels))):
            steps = drawn(levels, index, draws)
            work = sum(size * step.charge for size, step in zip(sizes, steps, strict=True))
            if self.distil:
                work += sum(sizes) * levels[index].macs_per_example
            if client.fits(work, levels[index].traffic):
                return index
        return None

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        return merge_prefixes(task, state, updates)

    def widest(self, task: Task, state: State) -> SubModel | None:
        return widest_trained(state)


def drawn(levels: Sequence[Level], largest: int, draws: np.ndarray) -> list[Level]:
    """The sub-model of each step: uniform on the levels up to the `largest`. draws: (n_steps,) in [0, 1)."""
    return [levels[int(u * (largest + 1))] for u in draws]
