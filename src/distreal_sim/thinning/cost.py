"""Closed-form cost of a thinned network: multiply-accumulates per example, and parameters.

MACs count the multiply-adds of convolutions and linear layers (no biases, normalisation or pooling):
weight elements x output positions, which for a convolution is k^2 keep_in keep_out H W / groups with the
thinned number of groups (derived). Products of other operations, such as attention, are counted once at full
width by torch's flop counter; they are proportional to the length of at most one axis.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from distreal_sim.thinning.structure import Layer, Structure


def forward_macs(structure: Structure, counts: Sequence[int]) -> int:
    """MACs of the forward pass on one example; counts: (G,) kept channels of each group."""
    products = sum(p.at(p.forward_macs, counts) for p in structure.products)
    return sum(_layer_macs(structure, counts)) + products


def training_macs(structure: Structure, counts: Sequence[int]) -> int:
    """MACs of forward and backward pass on one example; counts: (G,) kept channels of each group.

    A layer costs its forward MACs once more for the gradient of its weight, and once more for the gradient
    of its input if that is needed (not for layers that read the network's input).
    """
    products = sum(p.at(p.forward_macs + p.both_macs, counts) for p in structure.products)
    return sum(training_macs_of_layers(structure, counts)) + products


def training_macs_of_layers(structure: Structure, counts: Sequence[int]) -> list[int]:
    """`training_macs` of each layer alone."""
    macs = _layer_macs(structure, counts)
    return [m * (1 + layer.n_gradients) for m, layer in zip(macs, structure.layers, strict=True)]


def partial_macs(
    structure: Structure,
    counts: Sequence[int],
    trained: Collection[str],
    run: Collection[str] | None = None,
) -> int:
    """MACs of a step on one example that changes only the parameters `trained`, forward and backward.

    They count the forward pass, the weight gradients of the trained layers, and the input gradients of the
    layers after a trained parameter: no gradient flows back beyond the first trained one. run: the parameters
    that the forward pass uses, all if not given; layers without any of them are not run.
    """
    return partial_macs_of_each(structure, counts, [trained], run)[0]


def partial_macs_of_each(
    structure: Structure,
    counts: Sequence[int],
    choices: Iterable[Collection[str]],
    run: Collection[str] | None = None,
) -> list[int]:
    """`partial_macs` for each choice of trained parameters."""
    costs = zip(structure.layers, _layer_macs(structure, counts), strict=True)
    layers = [(layer, macs) for layer, macs in costs if run is None or layer.weight in run]
    products = [p for p in structure.products if run is None or not p.beside.isdisjoint(run)]
    return [
        sum(m * (1 + _n_gradients(layer, trained)) for layer, m in layers)
        + sum(
            p.at(
                p.forward_macs
                + p.backward_macs(not p.weights.isdisjoint(trained), not p.upstream.isdisjoint(trained)),
                counts,
            )
            for p in products
        )
        for trained in choices
    ]


def _n_gradients(layer: Layer, trained: Collection[str]) -> int:
    if not layer.n_gradients:  # no gradient reaches it
        return 0
    return (layer.weight in trained) + (not layer.upstream.isdisjoint(trained))


def n_parameters(structure: Structure, counts: Sequence[int]) -> int:
    """Parameters of the network with `counts` (G,) kept channels."""
    return sum(sizes(structure, counts, structure.parameters))


def sizes(structure: Structure, counts: Sequence[int], names: Iterable[str]) -> list[int]:
    """Number of elements of each of these parameters, cut to `counts` (G,) kept channels."""
    return [math.prod(structure.tensors[name].cut_shape(counts)) for name in names]


def _layer_macs(structure: Structure, counts: Sequence[int]) -> list[int]:
    tensors = structure.tensors
    return [
        math.prod(tensors[layer.weight].cut_shape(counts)) * layer.positions for layer in structure.layers
    ]
