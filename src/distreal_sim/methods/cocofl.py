"""CoCoFL: a client runs the whole network and trains a window of its blocks; the others are frozen.

Pfeiffer, Rapp, Khalili, Henkel: CoCoFL: Communication- and Computation-Aware Federated Learning via Partial
NN Freezing and Quantization. TMLR 2023, arXiv 2203.05468.

Paper and its public code: a table lists time, upload and memory of every window of contiguous blocks. In
each round a client takes the windows that meet its limits, leaves out those of which another one is a true
superset, and picks one of the rest, each with the same chance. Blocks outside the window are frozen, with
their batch norm folded, and run in int8. Trained tensors are uploaded and averaged over all participants,
those who did not train a tensor counting with its old value.

Differs from the paper:
- No int8: frozen blocks cost their full MACs, forward, and backward where the gradient has to pass through
  them to the window. Freezing saves the weight gradients outside of the window and everything backward
  before it, less than two thirds in all; a client that cannot run all blocks forward and train its cheapest
  window skips the round. (our choice)
- A window is limited by what a client can compute in time, at the capacity of the start of the round, with
  room for its transfers; where memory is limited, every window counts as a step of the whole network. The
  paper's times are measured on devices, ours are counted MACs. (our choice)
- Frozen batch norm is not folded: it normalises with the batch's statistics. (our choice)
- A block is a residual block or a layer with its norm, whatever the network lists. (our choice)
- The average is weighted by examples; `merge.weight: clients` gives every participant the same weight,
  as in the paper. (our choice)
- The whole model is downloaded, and counted; the public code counts no downloads. (our choice)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.methods import Method
from distreal_sim.submodels.blocks import blocks_of
from distreal_sim.submodels.levels import Always, Level, Levels, PerRound, charged_level
from distreal_sim.submodels.steps import partial_steps
from distreal_sim.thinning.cost import partial_macs_of_each, sizes


@dataclass(frozen=True)
class Window:
    """Blocks first ... last - 1, and the costs of a round that trains them."""

    first: int
    last: int
    level: Level


class CoCoFL(Method):
    """A random window of trained blocks, as large as the client's capacity allows."""

    trains_parts: ClassVar[bool] = True

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return tuple(window.level for window in windows(task))

    def own_levels(self, client: Client, job: Job) -> Levels:
        n_examples = sum(client.batch_sizes)
        feasible = [
            window
            for window in windows(client.task)
            if client.fits(charged_level(client.task, window.level).charge * n_examples, window.level.traffic)
        ]
        if not feasible:
            return PerRound(())
        choice = largest(feasible)
        return Always(choice[int(client.rngs("cocofl window").integers(len(choice)))].level)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        assert level.trained is not None
        return partial_steps(level.trained)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        weight = task.merge.weighs_by
        merged = weighted_average(task.structure, state.arrays, updates, weight, dilute=True)
        return State(merged, state.extras)


def windows(task: Task) -> list[Window]:
    """Every window of contiguous blocks."""
    blocks, full = blocks_of(task.module, task.structure), task.structure.full_counts()
    everything = sizes(task.structure, full, [name for block in blocks for name in block])
    bounds = [(a, b) for a in range(len(blocks)) for b in range(a + 1, len(blocks) + 1)]
    names = [tuple(name for block in blocks[a:b] for name in block) for a, b in bounds]
    costs = partial_macs_of_each(task.structure, full, map(frozenset, names))
    return [
        Window(a, b, Level(full, macs, task.traffic(everything, sizes(task.structure, full, own)), own))
        for (a, b), own, macs in zip(bounds, names, costs, strict=True)
    ]


def largest(feasible: Sequence[Window]) -> list[Window]:
    """The windows of which no other one is a true superset."""

    def within(a: Window, b: Window) -> bool:
        return a is not b and b.first <= a.first and a.last <= b.last

    return [a for a in feasible if not any(within(a, b) for b in feasible)]
