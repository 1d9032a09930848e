"""FedEL: every client trains a window of blocks that fits its time, and the window slides round by round.

Zhang, Chen, Bian, Wang, Xu: FedEL: Federated Elastic Learning for Heterogeneous Devices. NeurIPS 2025, arXiv
2509.16902.

Known to us from its abstract and from summaries; no code was found. This implements the mechanism described
in the abstract: a window slides over the blocks of the network and locates the part that a client trains,
within a runtime budget that is coordinated, the same deadline for all. Here, a client has a front, the block
with which its window begins. It runs all blocks up to the window's last one and a classifier after that, and
trains the window's blocks and this classifier: no gradient goes further back than the front. The window is
the largest that ends in time at the capacity of the start of the round. The next one begins after it, and
with the first block after the last one, or where no window that begins with the front fits (rollback). Where
none fits at all the client skips the round.

Differs from the paper:
- All tensors of the window are trained. The paper chooses among them by importance, local and global
  harmonised; a client's time would then depend on the arithmetic, which it must not here. Rules of the
  window, exits and constants were not seen. (our choice)
- Blocks are the stages of the network, and exits those of depthfl: pooling and a linear layer. Their costs
  are counted. What is tested is the whole network with its own classifier, and the one that ends with the
  last exit trained so far. (our choice)
- The server knows the fronts, as it sees which blocks come back; a client whose update was lost begins at the
  same front again, and so does one that starts again before the server's next step. (our choice)
- The blocks up to the last one of the window travel down, and what was trained travels up. A tensor is
  averaged over the clients that trained it, weighted by examples. (our choice)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from distreal_sim.client.client import Client
from distreal_sim.client.columns import Column
from distreal_sim.client.messages import Facts, Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import Fits, Method
from distreal_sim.submodels.depths import deepest_trained, depths_of, with_deepest
from distreal_sim.submodels.exits import WithExits, with_exits
from distreal_sim.submodels.levels import Always, Level, Levels, PerRound, charged_level
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.cost import partial_macs, sizes
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure

FRONTS = "fronts"
"""Under this name State.extras holds (n_clients,) int64, the block with which each client's window begins."""

Slide = Literal["jump", "step"]


@dataclass(frozen=True)
class Window:
    """Blocks first ... last, from 0, and the costs of a round that trains them and the exit after them."""

    first: int
    last: int
    level: Level


class FedEL(Method):
    """A window of blocks that fits a client's time, and slides."""

    depths: int | None = Field(
        None, ge=1, description="number of blocks, each with an exit; the network's stages if not given"
    )
    slide: Slide = Field(
        "jump", description="where the next window begins: after the last one, or a block further"
    )

    trains_parts: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("first_block", "the first block that it trained, from 0; empty if it skipped the round"),
        Column("last_block", "the last one, after which its exit is"),
    )

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        return with_exits(module, structure, self.depths, average=False)

    def start(self, task: Task, state: State) -> State:
        return State(state.arrays, {**state.extras, FRONTS: np.zeros(len(task.split), np.int64)})

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        fronts = state.extras[FRONTS]
        return [
            replace(job, told={"front": float(fronts[job.client_id])})
            for job in super().plan(task, state, now)
        ]

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return tuple(window.level for window in windows(task).values())

    def window(self, client: Client, job: Job) -> Window | None:
        """What a client trains in this round."""
        known, n_examples = windows(client.task), sum(client.batch_sizes)

        def fits(first: int, last: int) -> bool:
            level = charged_level(client.task, known[first, last].level)
            return client.fits(level.charge * n_examples, level.traffic)

        bounds = window_from(int(job.told.get("front", 0)), n_blocks(known), fits)
        return None if bounds is None else known[bounds]

    def own_levels(self, client: Client, job: Job) -> Levels:
        window = self.window(client, job)
        return PerRound(()) if window is None else Always(window.level)

    def train(self, client: Client, job: Job) -> Update:
        window, update = self.window(client, job), super().train(client, job)
        if window is None:
            return update.reporting(first_block=math.nan, last_block=math.nan)
        return update.reporting(first_block=float(window.first), last_block=float(window.last))

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        window = self.window(client, job)
        assert window is not None
        assert window.level.trained is not None
        exits, trained = (window.last,), frozenset(window.level.trained)

        def run(module: nn.Module, x: Tensor) -> Tensor:
            scores: Tensor = module.scores(x, exits)[0] if isinstance(module, WithExits) else module(x)
            return scores

        def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
            return engine.step(x, y, mask, lr, trained=trained, run=run)

        return compute

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        exits: set[int] = set()

        def watched() -> Iterator[Update]:
            for update in updates:
                exits.add(int(update.metrics["last_block"]))
                yield update

        return with_deepest(task.merge.merge(task, state, now, watched()), exits)

    def learn(self, task: Task, state: State, now: Round, facts: Sequence[Facts]) -> State:
        fronts, n = state.extras[FRONTS].copy(), n_blocks(windows(task))
        for own in facts:
            if own.status in ("completed", "partial"):
                window = int(own.metrics["first_block"]), int(own.metrics["last_block"])
                fronts[own.client_id] = front_after(window, n, self.slide)
        return State(state.arrays, {**state.extras, FRONTS: fronts})

    def widest(self, task: Task, state: State) -> SubModel | None:
        return deepest_trained(task, state)


def window_from(front: int, n: int, fits: Callable[[int, int], bool]) -> tuple[int, int] | None:
    """(first, last) block of the largest window that fits and begins with the front, or else with block 0.

    n: number of blocks; None if no window fits.
    """
    for first in (front, 0):
        lasts = [last for last in range(first, n) if fits(first, last)]
        if lasts:
            return first, lasts[-1]
    return None


def front_after(window: tuple[int, int], n: int, slide: Slide) -> int:
    """The first block of the next window, of n blocks."""
    first, last = window
    if last == n - 1:
        return 0
    return last + 1 if slide == "jump" else first + 1


def windows(task: Task) -> dict[tuple[int, int], Window]:
    """Every window of the task's network, by its first and last block."""
    known: dict[tuple[int, int], Window] | None = task.memo.get("fedel windows")
    if known is None:
        known = task.memo["fedel windows"] = _windows(task)
    return known


def n_blocks(known: dict[tuple[int, int], Window]) -> int:
    """Number of blocks of a network with these windows."""
    return 1 + max(last for _, last in known)


def _windows(task: Task) -> dict[tuple[int, int], Window]:
    structure, full = task.structure, task.structure.full_counts()
    parts = [depth.names for depth in depths_of(task, earlier_exits=False)]
    found = {}
    for last, run in enumerate(parts):
        for first in range(last + 1):
            before = frozenset().union(*parts[:first])
            trained = tuple(name for name in structure.parameters if name in run - before)
            macs = partial_macs(structure, full, trained, run=run)
            down, up = (sizes(structure, full, names) for names in (run, trained))
            found[first, last] = Window(first, last, Level(full, macs, task.traffic(down, up), trained))
    return found
