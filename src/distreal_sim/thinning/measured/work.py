"""The work of a training step in closed form: calls, multiply-accumulates and bytes of each kind of layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from distreal_sim.thinning.cost import training_macs_of_layers
from distreal_sim.thinning.structure import Layer, Structure

FLOAT_BYTES = 4

LINE_BYTES = 64
"""A line of the cache, and a vector of AVX-512: kernels read and write no less."""


class Amount(NamedTuple):
    """Passes through layers, forward and for each gradient; their MACs; and the bytes that they put out."""

    calls: float
    macs: float
    n_bytes: float

    def __add__(self, other: object) -> Amount:
        assert isinstance(other, Amount)
        return Amount(*(a + b for a, b in zip(self, other, strict=True)))


Work = Mapping[str, Amount]
"""By kind: of layer, `convolution`, `grouped convolution`, `linear` or `product`; `update` of the parameters,
and `redraw`, which gathers filters and writes them back."""

KINDS = ("convolution", "grouped convolution", "linear", "product", "update", "redraw")


def work_of(
    module: nn.Module, structure: Structure, counts: Sequence[int], n_examples: float, *, redrawn: bool
) -> Work:
    """The work of a step on n_examples that keeps `counts` (G,) channels.

    A layer's bytes are those of its outputs, once for each pass: what follows a layer, such as a norm or an
    activation, reads and writes as many. The channels of a place take whole lines, so that few channels save
    few bytes. redrawn: whether the step keeps other filters than the one before.
    """
    found: dict[str, Amount] = {}

    def add(kind: str, amount: Amount) -> None:
        found[kind] = found.get(kind, Amount(0, 0, 0)) + amount

    macs = training_macs_of_layers(structure, counts)
    for layer, own in zip(structure.layers, macs, strict=True):
        shape = structure.tensors[layer.weight].cut_shape(counts)
        n_out = shape[1 if layer.weight in structure.transposed else 0]
        n_bytes = LINE_BYTES * math.ceil(FLOAT_BYTES * n_out / LINE_BYTES) * layer.positions
        passes = 1 + layer.n_gradients
        add(_kind(module, layer), Amount(passes, own * n_examples, passes * n_bytes * n_examples))
    for product in structure.products:
        own = product.at(product.forward_macs + product.both_macs, counts)
        add("product", Amount(1 + (product.both_macs > 0), own * n_examples, 0))
    names = list(structure.parameters)
    shapes = [structure.tensors[name].cut_shape(counts) for name in names]
    add("update", Amount(len(names), 0, FLOAT_BYTES * sum(map(math.prod, shapes))))
    if redrawn:
        cut = [s for name, s in zip(names, shapes, strict=True) if s != structure.tensors[name].shape]
        add("redraw", Amount(len(cut), 0, FLOAT_BYTES * sum(map(math.prod, cut))))
    return found


def _kind(module: nn.Module, layer: Layer) -> str:
    part = module.get_submodule(layer.module)
    if not isinstance(part, nn.modules.conv._ConvNd):
        return "linear"
    return "convolution" if part.groups == 1 else "grouped convolution"
