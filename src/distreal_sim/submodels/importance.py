"""Which layers of a network a client trains: the most important ones that its budget of MACs allows.

Huang, Yang, Gao: ElasticTrainer: Speeding Up On-Device Training with Runtime Elastic Tensor Selection.
MobiSys 2023 (its code): a 0/1 knapsack in which a layer costs its weight gradient, and the innermost one the
gradients of all that flows back to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from distreal_sim.thinning.cost import training_macs_of_layers
from distreal_sim.thinning.structure import Structure

UNITS = 1000
"""Parts of a budget in which costs are counted, rounded up; those of a smaller budget are counted exactly."""


@dataclass(frozen=True)
class LayerCost:
    """A layer that may be trained or not.

    weight: the name of its weight; names: this, and the parameters that are trained with it; weight_macs,
    input_macs: of its weight's and of its input's gradient on one example, 0 for an input that needs none.
    """

    weight: str
    names: tuple[str, ...]
    weight_macs: int
    input_macs: int


def layer_costs(structure: Structure) -> list[LayerCost]:
    """All layers in the order of execution; other parameters belong to the layer written before them."""
    macs = training_macs_of_layers(structure, structure.full_counts())
    own: dict[str, list[int]] = {}
    for layer, both in zip(structure.layers, macs, strict=True):
        forward = both // (1 + layer.n_gradients)
        weight, into = own.setdefault(layer.weight, [0, 0])
        own[layer.weight] = [
            weight + forward * min(layer.n_gradients, 1),
            into + forward * max(layer.n_gradients - 1, 0),
        ]
    names: dict[str, list[str]] = {weight: [] for weight in own}
    last = next(iter(own))
    for name in structure.parameters:
        last = name if name in own else last
        names[last].append(name)
    return [LayerCost(weight, tuple(names[weight]), *own[weight]) for weight in own]


def most_important(
    weight_macs: Sequence[float], back_macs: Sequence[float], importance: Sequence[float], limit: float
) -> list[int]:
    """The layers of the greatest sum of importances whose training costs at most `limit`, ascending.

    All from the output inwards. A set costs the weight_macs of its layers, and the back_macs, those of the
    gradient of a layer's output, of its innermost one and of all before it.
    """
    unit = max(1.0, limit / UNITS)
    size = math.floor(limit / unit + 1e-9)
    costs = [math.ceil(own / unit - 1e-9) for own in weight_macs]
    backs = [math.ceil(own / unit - 1e-9) for own in accumulate(back_macs)]
    best, taken = np.zeros(max(size, 0) + 1), list[np.ndarray]()
    found: tuple[float, int, int] = (-math.inf, -1, 0)
    for k, (cost, worth) in enumerate(zip(costs, importance, strict=True)):
        left = size - cost - backs[k]
        if left >= 0 and worth + best[left] > found[0]:
            found = worth + float(best[left]), k, left
        with_it = np.full_like(best, -math.inf)
        if cost <= size:
            with_it[cost:] = best[: len(best) - cost] + worth
        taken.append(with_it > best)
        best = np.maximum(best, with_it)
    _, innermost, left = found
    chosen = [innermost] if innermost >= 0 else []
    for k in range(innermost - 1, -1, -1):
        if taken[k][left]:
            chosen.append(k)
            left -= costs[k]
    return sorted(chosen)


def chosen_in_window(
    layers: Sequence[LayerCost], head_macs: int, importance: Sequence[float], limit: float
) -> list[int]:
    """Which of some consecutive layers, in the order of execution, are trained with at most `limit` MACs.

    head_macs: of the gradient of the input of the classifier after them.
    """
    inwards = layers[::-1]
    backs = [head_macs, *(layer.input_macs for layer in inwards)][: len(inwards)]
    found = most_important([layer.weight_macs for layer in inwards], backs, importance[::-1], limit)
    return sorted(len(layers) - 1 - k for k in found)


def squared_moves(
    layers: Sequence[LayerCost], before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> np.ndarray:
    """(n_layers,) squared length of the change of each layer's parameters; NaN where `after` lacks them."""
    return np.array(
        [
            sum(np.square(after[n] - before[n].astype(float)).sum() for n in layer.names)
            if after.keys() >= set(layer.names)
            else math.nan
            for layer in layers
        ]
    )


def as_shares(measured: np.ndarray, macs: np.ndarray) -> np.ndarray:
    """(n,) importances that add up to 1; those not measured, NaN, count as the others do per MAC.

    macs: (n,) of the layers. All count equal per MAC where nothing is measured, or 0.
    """
    known = ~np.isnan(measured)
    total = measured[known].sum()
    values = np.where(known, measured, macs * (total / macs[known].sum())) if total > 0 else macs
    shares: np.ndarray = values / values.sum()
    return shares
