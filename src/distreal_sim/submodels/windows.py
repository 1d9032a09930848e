"""Windows of consecutive blocks of a network with exits, of which a client trains all or a part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from distreal_sim.client.task import Task
from distreal_sim.submodels.depths import depths_of
from distreal_sim.submodels.exits import WithExits
from distreal_sim.submodels.importance import LayerCost, chosen_in_window, layer_costs
from distreal_sim.submodels.levels import Level
from distreal_sim.thinning.cost import partial_macs, sizes

Slide = Literal["jump", "step"]

Found = TypeVar("Found")


@dataclass(frozen=True)
class Window:
    """Blocks first ... last, from 0, and the costs of a round that trains them and the exit after them.

    run: names of the parameters of all blocks up to the last one and of this exit; of a part of a window the
    level holds fewer layers.
    """

    first: int
    last: int
    level: Level
    run: frozenset[str]


def window_from(front: int, n: int, fits: Callable[[int, int], bool]) -> tuple[int, int] | None:
    """(first, last) block of the largest window that fits and begins with the front, or else with block 0.

    n: number of blocks; None if no window fits.
    """
    for first in (front, 0):
        lasts = [last for last in range(first, n) if fits(first, last)]
        if lasts:
            return first, lasts[-1]
    return None


def covering(
    front: int, n: int, covers: Callable[[int, int], bool], choose: Callable[[int, int], Found | None]
) -> Found | None:
    """The smallest window that begins with the front and covers the time, or else the last one; with block 0
    where nothing of it can be trained.

    n: number of blocks; choose: what is trained of a window, None for nothing.
    """
    for first in (front, 0):
        last = next((last for last in range(first, n) if covers(first, last)), n - 1)
        found = choose(first, last)
        if found is not None:
            return found
    return None


def part_of(task: Task, whole: Window, importance: Sequence[float], budget_macs: float) -> Window | None:
    """The window with the most important of its layers that fit; None if none does.

    importance: of every layer of `net_layers`; budget_macs: for an example.
    """
    structure, full, layers = task.structure, task.full, net_layers(task)
    assert whole.level.trained is not None
    inside = [k for k, layer in enumerate(layers) if layer.weight in whole.level.trained]
    head = frozenset(whole.level.trained).difference(*(layer.names for layer in layers))
    head_macs = sum(layer.input_macs for layer in layer_costs(structure) if not head.isdisjoint(layer.names))
    paid = partial_macs(structure, full, head, run=whole.run)
    values = [importance[k] for k in inside]
    chosen = chosen_in_window([layers[k] for k in inside], head_macs, values, budget_macs - paid)
    if not chosen:
        return None
    wanted = head.union(*(layers[inside[place]].names for place in chosen))
    trained = tuple(name for name in whole.level.trained if name in wanted)
    traffic = task.traffic(*(sizes(structure, full, of) for of in (whole.run, trained)))
    macs = partial_macs(structure, full, trained, run=whole.run)
    return replace(whole, level=Level(full, macs, traffic, trained))


def net_layers(task: Task) -> list[LayerCost]:
    """The layers of the blocks, without classifiers."""
    known: list[LayerCost] | None = task.memo.get("fedel layers")
    if known is None:
        module, last = task.module, task.structure.layers[-1].weight
        n_exits = len(module.exits) if isinstance(module, WithExits) else 0
        heads = tuple(f"exits.{number}." for number in range(n_exits))
        known = task.memo["fedel layers"] = [
            layer
            for layer in layer_costs(task.structure)
            if layer.weight != last and not layer.weight.startswith(heads)
        ]
    return known


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
            found[first, last] = Window(first, last, Level(full, macs, task.traffic(down, up), trained), run)
    return found
