"""SLT: a narrow network is trained whole; then one layer after another is widened, trained and frozen.

Pfeiffer, Khalili, Henkel: Aggregating Capacity in FL through Successive Layer Training for
Computationally-Constrained Devices. NeurIPS 2023.

Paper and its public code: in step 0 the first s K of the K channels of every layer (rounded down) are trained
end to end. In step n the first n layers are at full width, the n - 1 before the last of them frozen with
their norms; layer n is trained, and so is the rest, the head, at width s. The head's first layer reads all
channels of layer n; the classifier reads those that are there and keeps all its rows. All clients of a
round are in the same step. Step 0 takes the share s of the rounds, the other steps share the rest in
proportion to their trained parameters. Clients with more memory freeze fewer of the widened layers. A
coordinate is averaged over the clients that trained it, unweighted. The network is tested as it is in the
current step.

Differs from the paper:
- The average is weighted by examples; `merge.weight: clients` is the paper's unweighted one. (our choice)
- One ratio for all steps. The code has tables by memory, in which s grows with what freezing frees, until the
  head is at full width and the last step trains all of it; so here more steps follow, to the last layer.
  Where memory is limited, a frozen layer counts as a trained one. (our choice)
- A client trains as many of the widened blocks as fit its capacity at the start of the round, or `depth` of
  them; one whose capacity is too small for the current block and the head skips the round. Frozen layers run
  forward at full width, so the last steps cost more than the first and weak clients drop out. (our choice)
- A step widens a block, a residual block or a layer with its norm, by all groups of coupled channels that it
  writes; a block that has no channels of its own to widen belongs to the step before. A parameter with
  channels of a later block is frozen after that one. Identity skips need no adapting so. (our choice)
- Every step has at least one round if there are enough of them; else the first steps are left out. Computed
  in whole numbers. (our choice)
- Where channels are concatenated, each part is cut by itself. (our choice)
- The whole sub-network is downloaded in every round, the frozen part too; the trained part is uploaded. The
  public code counts uploads only. (our choice)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import DrawMask, Method
from distreal_sim.submodels.blocks import blocks_of
from distreal_sim.submodels.levels import Level, PerRound
from distreal_sim.submodels.prefixes import merge_prefixes, widest_trained
from distreal_sim.submodels.steps import partial_steps
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.widths import SLACK, Share, prefix_masks, width_counts
from distreal_sim.thinning.cost import partial_macs_of_each, sizes
from distreal_sim.thinning.structure import FIXED, Counts


@dataclass(frozen=True)
class Step:
    """counts: (G,) first channels kept; trained: parameter names at depth 1, 2, ... until nothing rests."""

    counts: Counts
    trained: tuple[frozenset[str], ...]


class SLT(Method):
    """Successive layer training."""

    ratio: Share = Field(0.25, description="share of channels of the layers not widened yet")
    depth: Literal["budget"] | Annotated[int, Field(ge=1)] = Field(
        "budget",
        description="widened blocks that a client trains, the current one and those before it: as many as "
        "fit its capacity at the start of the round, or this many",
    )

    trains_parts: ClassVar[bool] = True

    def own_levels(self, client: Client, job: Job) -> PerRound:
        return self._of_step(client.task, self.step(client.task, client.round), job.arrays)

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        names = task.structure.parameters
        steps = steps_of(task, self.ratio)
        return tuple(dict.fromkeys(level for s in steps for level in self._of_step(task, s, names).levels))

    def _of_step(self, task: Task, step: Step, names: Iterable[str]) -> PerRound:
        """The levels of a step; names: of the arrays of a job."""
        choices = step.trained
        if self.depth != "budget":
            choices = (choices[min(self.depth, len(choices)) - 1],)

        def returned(trained: frozenset[str]) -> tuple[str, ...]:
            """Running statistics, where there are any, come back too."""
            return tuple(n for n in names if n in trained or n not in task.structure.parameters)

        levels = levels_of(task, step.counts, choices)
        pairs = zip(levels, choices, strict=True)
        return PerRound(tuple(replace(level, trained=returned(trained)) for level, trained in pairs))

    def masks(self, client: Client, job: Job) -> DrawMask:
        return prefix_masks(client.task.structure)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        assert level.trained is not None
        return partial_steps(level.trained)

    def step(self, task: Task, now: Round) -> Step:
        """The step of this round."""
        steps = steps_of(task, self.ratio)
        trained = [sum(sizes(task.structure, step.counts, step.trained[0])) for step in steps]
        ends = last_rounds(trained[1:], self.ratio, now.n_rounds)
        return steps[next(n for n, end in enumerate(ends) if now.number <= end)]

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        return merge_prefixes(task, state, updates)

    def widest(self, task: Task, state: State) -> SubModel | None:
        return widest_trained(state)


def steps_of(task: Task, ratio: float) -> list[Step]:
    """Step 0, and a step for each block that has channels to widen, in the order of execution."""
    structure, full = task.structure, task.structure.full_counts()
    counts = list(width_counts(structure, ratio, "floor"))
    blocks = blocks_of(task.module, structure)
    layers = {layer.weight for layer in structure.layers}
    widened = [tuple(counts)]
    last: dict[str, int] = {}  # the step in which a parameter's block is the current one
    for block in blocks:
        written = {s.group for name in block if name in layers for s in structure.tensors[name].axes[0]}
        narrow = [g for g in written - {FIXED} if counts[g] < full[g]]
        for g in narrow:
            counts[g] = full[g]
        if narrow:
            widened.append(tuple(counts))
        last.update(dict.fromkeys(block, len(widened) - 1))
    for name in last:  # what reads channels of later blocks waits for them
        groups = structure.tensors[name].cut_groups
        whole = next((n for n, c in enumerate(widened) if all(c[g] == full[g] for g in groups)), 0)
        last[name] = max(last[name], whole)
    return [
        Step(kept, tuple(_unfrozen(last, n - depth + 1) for depth in range(1, max(n, 1) + 1)))
        for n, kept in enumerate(widened)
    ]


def _unfrozen(last: dict[str, int], first: int) -> frozenset[str]:
    return frozenset(name for name, step in last.items() if step >= first)


def levels_of(task: Task, counts: Counts, choices: Sequence[frozenset[str]]) -> list[Level]:
    """Costs and bytes of a sub-network of which these parameters are trained."""
    structure = task.structure
    everything = sizes(structure, counts, structure.parameters)
    return [
        Level(counts, macs, task.traffic(everything, sizes(structure, counts, trained)))
        for trained, macs in zip(choices, partial_macs_of_each(structure, counts, choices), strict=True)
    ]


def last_rounds(sizes: Sequence[int], ratio: float, rounds: int) -> list[int]:
    """The last round of steps 0, 1, ...; sizes: trained parameters of step 1, 2, ...

    Step 0 has floor(ratio * rounds) rounds, and the others end at the same share of the rest as of the sizes.
    """
    if not sizes:
        return [rounds]
    alone = math.floor(ratio * rounds + SLACK)
    ends = [alone, *(alone + (rounds - alone) * total // sum(sizes) for total in accumulate(sizes))]
    for n in range(len(ends)):  # at least one round each, first from the front, then from the end
        ends[n] = max(ends[n], ends[n - 1] + 1 if n else 1)
    return [min(end, rounds - (len(sizes) - n)) for n, end in enumerate(ends)]
