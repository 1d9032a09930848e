"""Sub-models of a network with exits, each the stages up to one of them: training and merging them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.submodels.blocks import blocks_of
from distreal_sim.submodels.exits import WithExits
from distreal_sim.submodels.levels import Level
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.cost import partial_macs, sizes
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask

DEEPEST = "deepest"
"""Under this name State.extras holds the number of the last exit trained so far, from the first update on."""


@dataclass(frozen=True)
class Depth:
    """A sub-model: the stages up to the deepest of its exits, and these.

    exits: ascending numbers from 0; names: the parameters it consists of; level: its cost and its bytes.
    """

    exits: tuple[int, ...]
    names: frozenset[str]
    level: Level


def depths_of(task: Task, earlier_exits: bool) -> list[Depth]:
    """The sub-models that end in each exit, shallowest first; earlier_exits: with the exits before it."""
    module, structure = task.module, task.structure
    full = structure.full_counts()
    heads = module.exits if isinstance(module, WithExits) else nn.ModuleList()
    upstream = {layer.module: layer.upstream for layer in structure.layers}
    ends = [f"exits.{number}.linear" for number in range(len(heads))]
    ends.append(structure.layers[-1].module)
    needed = [
        upstream[end] | {n for n in structure.parameters if n.rpartition(".")[0] == end} for end in ends
    ]
    found = []
    for last in range(len(ends)):
        exits = tuple(range(last + 1)) if earlier_exits else (last,)
        names = frozenset().union(*(needed[number] for number in exits))
        traffic = task.traffic(sizes(structure, full, names))
        macs = partial_macs(structure, full, names, run=names)
        level = Level(full, macs, traffic, tuple(sorted(names)))
        found.append(Depth(exits, names, level))
    return found


def deepest_trained(task: Task, state: State) -> SubModel | None:
    """See `Method.widest`: every channel, and the last exit trained so far."""
    if DEEPEST not in state.extras:
        return None
    deepest, full = int(state.extras[DEEPEST]), task.structure.full_counts()
    n_exits = len(task.module.exits) if isinstance(task.module, WithExits) else 0
    return SubModel(full, None if deepest == n_exits else deepest)


def depth_of(update: Update, depths: Sequence[Depth]) -> int:
    """Which of the sub-models an update is of."""
    return next(n for n, depth in enumerate(depths) if depth.names == update.arrays.keys())


def merge_depths(
    task: Task,
    state: State,
    now: Round,
    updates: Iterator[Update],
    depths: Sequence[Depth],
) -> State:
    """The state with averaged arrays, and with the deepest exit that any updates so far trained."""
    trained: set[int] = set()

    def watched() -> Iterator[Update]:
        for update in updates:
            trained.add(depth_of(update, depths))
            yield update

    return with_deepest(task.merge.merge(task, state, now, watched()), trained)


def with_deepest(state: State, trained: Collection[int]) -> State:
    """The state after a merge of updates that trained these exits, with the deepest of all so far."""
    if not trained:
        return state
    deepest = max(*trained, int(state.extras.get(DEEPEST, np.array(-1))))
    return State(state.arrays, {**state.extras, DEEPEST: np.array(deepest)})


def layers_of(task: Task, depths: Sequence[Depth]) -> list[list[tuple[str, ...]]]:
    """The blocks that each sub-model consists of, in the order of execution, but for classifiers."""
    module, classifier = task.module, task.structure.layers[-1].weight
    inner = module.network if isinstance(module, WithExits) else module
    prefix = "" if inner is module else "network."
    blocks = [block for block in blocks_of(inner, task.structure, prefix) if classifier not in block]
    return [[block for block in blocks if depth.names.issuperset(block)] for depth in depths]


def depth_steps(
    task: Task,
    level: Level,
    depths: Sequence[Depth],
    loss_of: Callable[[list[Tensor], Tensor], Tensor],
) -> Compute:
    """Steps that train the sub-model of this level; loss_of: of its exits' scores and the labels."""
    depth = next(depth for depth in depths if depth.level.trained == level.trained)

    def run(module: nn.Module, x: Tensor) -> list[Tensor]:
        return module.scores(x, depth.exits) if isinstance(module, WithExits) else [module(x)]

    def compute(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, loss_of, trained=depth.names, run=run)

    return compute
