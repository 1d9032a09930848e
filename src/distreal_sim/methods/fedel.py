"""FedEL: every client trains a window of blocks that fits its time, and the window slides round by round.

Zhang, Chen, Bian, Wang, Xu: FedEL: Federated Elastic Learning for Heterogeneous Devices. NeurIPS 2025, arXiv
2509.16902.

Known to us from its abstract and from summaries; no code was found. This implements the mechanism described
in the abstract: a window slides over the blocks of the network and locates the part that a client trains,
within a runtime budget that is coordinated, the same deadline for all. Here, a client has a front, the block
with which its window begins. It runs all blocks up to the window's last one and a classifier after that, and
trains blocks of the window and this classifier: no gradient goes further back than the front. The next window
begins after it, and with the first block after the last one, or where no window that begins with the front
fits (rollback). Where none fits at all the client skips the round. Two rules of the window:

- `fit`: the largest that ends in time at the capacity of the start of the round; all of it is trained, and
  importance plays no part. Every block that a client can afford alone is trained in turn.
- `cover`, nearer to the summaries: the smallest that takes the client's whole time or more. Of its layers
  those are trained whose importance adds up to most within the time (`submodels/importance.py`). Importance
  is `beta` x a client's own + (1 - beta) x the global one: the squared change of a layer in the client's last
  round that trained it, and in the last merge, each in shares of the network. A layer that was not measured
  counts as the others do per MAC. With `age`, times 1 + the client's rounds since it trained the layer.

Differs from the paper:
- Rules of the window, exits and constants were not seen. `cover` can starve blocks: the forward pass to the
  end of a window may leave no time for its first ones, in every turn. (our choice)
- The paper measures the importance of tensors by gradients; squared changes over lr are those of one step of
  plain SGD, and the server sees them, so they cost nothing. A layer is its weight with its bias and its
  norm. A run that is only timed knows no changes: all layers count equal per MAC there. (our choice)
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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from distreal_sim.client.client import Client
from distreal_sim.client.columns import Column
from distreal_sim.client.messages import Facts, Job, Round, State, Update
from distreal_sim.client.schedule import TOLERANCE, Compute, Moment
from distreal_sim.client.task import Task
from distreal_sim.methods import Fits, Method
from distreal_sim.submodels.depths import deepest_trained, with_deepest
from distreal_sim.submodels.exits import WithExits, with_exits
from distreal_sim.submodels.importance import as_shares, squared_moves
from distreal_sim.submodels.levels import Always, Level, Levels, PerRound, charged_level
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.windows import (
    Slide,
    Window,
    covering,
    front_after,
    n_blocks,
    net_layers,
    part_of,
    window_from,
    windows,
)
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure

FRONTS = "fronts"
"""Under this name State.extras holds (n_clients,) int64, the block with which each client's window begins."""

OWN, MOVED, AGES = "own importance", "global importance", "ages"
"""With `cover` they are there, too: (n_clients, n_layers) squared changes by each client, NaN for none;
(n_layers,) those of the last merge; (n_clients, n_layers) int64 rounds of a client since it trained a layer.
"""


class FedEL(Method):
    """A window of blocks that fits a client's time, and slides."""

    depths: int | None = Field(
        None, ge=1, description="number of blocks, each with an exit; the network's stages if not given"
    )
    slide: Slide = Field(
        "jump", description="where the next window begins: after the last one, or a block further"
    )
    window: Literal["fit", "cover"] = Field(
        "fit",
        description="the largest that fits, all of it trained; or the smallest that takes all of the time, "
        "of which the most important layers that fit are trained",
    )
    beta: float = Field(
        0.5, ge=0, le=1, description="cover: weight of a client's own importance beside the global one"
    )
    age: bool = Field(
        False, description="cover: whether layers that a client has not trained for long are more important"
    )

    trains_parts: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("first_block", "the first block that it trained, from 0; empty if it skipped the round"),
        Column("last_block", "the last one, after which its exit is"),
    )

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        return with_exits(module, structure, self.depths, average=False)

    def start(self, task: Task, state: State) -> State:
        n_clients, n_layers = len(task.split), len(net_layers(task))
        extras = {FRONTS: np.zeros(n_clients, np.int64)}
        if self.window == "cover":
            extras[OWN] = np.full((n_clients, n_layers), np.nan)
            extras[MOVED] = np.full(n_layers, np.nan)
            extras[AGES] = np.zeros((n_clients, n_layers), np.int64)
        return State(state.arrays, {**state.extras, **extras})

    @property
    def pairs_levels(self) -> bool:
        return self.window == "cover"  # a step trains layers that no level holds

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        fronts = state.extras[FRONTS]
        return [
            replace(
                job, told={"front": float(fronts[job.client_id]), **self._told(task, state, job.client_id)}
            )
            for job in super().plan(task, state, now)
        ]

    def _told(self, task: Task, state: State, client_id: int) -> dict[str, float]:
        """The importance of each layer for a client."""
        if self.window == "fit":
            return {}
        macs = np.array([layer.weight_macs for layer in net_layers(task)], float)
        own, moved = (as_shares(of, macs) for of in (state.extras[OWN][client_id], state.extras[MOVED]))
        worth = self.beta * own + (1 - self.beta) * moved
        if self.age:
            worth = worth * (1 + state.extras[AGES][client_id])
        return {f"importance {k}": float(value) for k, value in enumerate(worth)}

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return tuple(window.level for window in windows(task).values())

    def trains(self, client: Client, job: Job) -> Window | None:
        """What a client trains in this round."""
        known, n_examples = windows(client.task), sum(client.batch_sizes)
        front, n = int(job.told.get("front", 0)), n_blocks(known)

        def fits(first: int, last: int) -> bool:
            level = charged_level(client.task, known[first, last].level)
            return client.fits(level.charge * n_examples, level.traffic)

        if self.window == "fit":
            bounds = window_from(front, n, fits)
            return None if bounds is None else known[bounds]

        def budget(first: int, last: int) -> float:
            start_s, end_s = client.compute_window(known[first, last].level.traffic)
            return Moment(start_s, end_s, client.capacity(0.0), ()).budget_macs / n_examples

        def covers(first: int, last: int) -> bool:
            macs = known[first, last].level.macs_per_example
            return macs * (1 + 2 * TOLERANCE) >= budget(first, last)

        def choose(first: int, last: int) -> Window | None:
            whole = known[first, last]
            if fits(first, last):
                return whole
            importance = [job.told[f"importance {k}"] for k in range(len(net_layers(client.task)))]
            return part_of(client.task, whole, importance, budget(first, last))

        return covering(front, n, covers, choose)

    def own_levels(self, client: Client, job: Job) -> Levels:
        window = self.trains(client, job)
        return PerRound(()) if window is None else Always(window.level)

    def train(self, client: Client, job: Job) -> Update:
        window, update = self.trains(client, job), super().train(client, job)
        if window is None:
            return update.reporting(first_block=math.nan, last_block=math.nan)
        return update.reporting(first_block=float(window.first), last_block=float(window.last))

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        window = self.trains(client, job)
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
        found: dict[int, np.ndarray] = {}

        def watched() -> Iterator[Update]:
            for update in updates:
                exits.add(int(update.metrics["last_block"]))
                if self.window == "cover":
                    moves = squared_moves(net_layers(task), state.arrays, update.arrays)
                    found[update.facts.client_id] = moves / (now.lr or 1.0)
                yield update

        after = with_deepest(task.merge.merge(task, state, now, watched()), exits)
        if not found:
            return after
        own, ages = state.extras[OWN].copy(), state.extras[AGES].copy()
        for client_id, moves in found.items():
            trained = ~np.isnan(moves)
            own[client_id, trained] = moves[trained]
            ages[client_id] = np.where(trained, 0, ages[client_id] + 1)
        moved = squared_moves(net_layers(task), state.arrays, after.arrays) / (now.lr or 1.0)
        return State(after.arrays, {**after.extras, OWN: own, MOVED: moved, AGES: ages})

    def learn(self, task: Task, state: State, now: Round, facts: Sequence[Facts]) -> State:
        fronts, n = state.extras[FRONTS].copy(), n_blocks(windows(task))
        for own in facts:
            if own.status in ("completed", "partial"):
                window = int(own.metrics["first_block"]), int(own.metrics["last_block"])
                fronts[own.client_id] = front_after(window, n, self.slide)
        return State(state.arrays, {**state.extras, FRONTS: fronts})

    def widest(self, task: Task, state: State) -> SubModel | None:
        return deepest_trained(task, state)
