"""Notes of what a network keeps whole, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distreal_sim.thinning.structure import Layer, Product, ThinningError, Whole


class NoRuleError(ThinningError):
    """An operation that no rule covers, which runs whole; raised by rules, answered by the trace."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where} is left whole: {reason}")
        self.reason = reason


@dataclass
class Note:
    """What the code of one module keeps whole, for one reason.

    weights: names of the weights whose channels it fixes; operations: those that so run whole.
    """

    where: str
    module: str
    reason: str
    weights: set[str]
    operations: set[str]


def left_whole(
    notes: Sequence[Note], layers: Sequence[tuple[Layer, int]], products: Sequence[tuple[Product, int]]
) -> tuple[Whole, ...]:
    """What check lists, the largest share of the MACs first.

    layers, products: with the MACs of a training step on one example; each is counted for the first note that
    names it.
    """
    found = []
    layers, products = list(layers), list(products)
    for note in notes:
        own = [pair for pair in layers if pair[0].weight in note.weights]
        runs = [
            pair
            for pair in products
            if pair[0].module == note.module and pair[0].operation in note.operations
        ]
        if not own and not runs:
            continue
        macs = sum(m for _, m in own) + sum(m for _, m in runs)
        found.append(Whole(note.where, note.reason, macs))
        layers = [pair for pair in layers if pair not in own]
        products = [pair for pair in products if pair not in runs]
    return tuple(sorted(found, key=lambda whole: -whole.macs))
