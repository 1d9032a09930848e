"""The record of a forward pass: its layers, its operations, and what else it computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction

from distreal_sim.thinning.coupling.channels import Atoms
from distreal_sim.thinning.coupling.operations import graph_of
from distreal_sim.thinning.structure import Layer, Product


@dataclass(frozen=True)
class Visit:
    """One traced operation: its module, its name, and the axes {dim: atoms} of each tensor it returned.

    where: the module in messages, `module` its qualified name. own: whether each result holds values of its
    own, and is not a parameter with its axes moved. reads: the axes of its operands.
    """

    where: str
    operation: str
    axes: tuple[dict[int, Atoms], ...]
    own: tuple[bool, ...]
    module: str = ""
    reads: tuple[Atoms, ...] = ()


@dataclass
class Pass:
    """The record of one forward pass: its layers, operations, and uses of each tensor.

    nodes: the nodes of each layer's results in the autograd graph. products: operations with a cost that are
    no layers; product_axes: the axis to which the cost of each is proportional, if there is one;
    product_nodes: their nodes. asked: whether a tensor's values reached the Python code.
    """

    layers: list[Layer] = field(default_factory=list)
    nodes: list[list[Any]] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    product_axes: list[Atoms | None] = field(default_factory=list)
    product_nodes: list[list[Any]] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    uses: Counter[str] = field(default_factory=Counter)
    asked: bool = False
    n_examples: int = 1

    @property
    def path(self) -> list[tuple[str, str]]:
        """Module and name of each operation on channels."""
        return [(visit.where, visit.operation) for visit in self.visits if any(visit.axes)]

    @property
    def n_costs(self) -> int:
        """Number of layers and products so far."""
        return len(self.layers) + len(self.products)

    def add(self, product: Product, axis: Atoms | None, results: Iterable[Tensor]) -> None:
        """Records a product with its results."""
        self.products.append(product)
        self.product_axes.append(axis)
        self.product_nodes.append([r.grad_fn for r in results if r.grad_fn is not None])

    def leave_out_gradients(self, outputs: list[Tensor]) -> str | None:
        """Sets the number of gradients to 0 for layers and products that no gradient of the outputs reaches.

        Returns the module of one of them whose gradients an autograd function may hide; None without one.
        """
        reached = graph_of(outputs)
        hidden = any(isinstance(n, BackwardCFunction) for n in reached)
        found = None
        for place, (layer, nodes) in enumerate(zip(self.layers, self.nodes, strict=True)):
            if layer.n_gradients and not nodes and hidden:
                found = layer.module
            if reached.isdisjoint(nodes):
                self.layers[place] = replace(layer, n_gradients=0, upstream=frozenset())
        for place, nodes in enumerate(self.product_nodes):
            if reached.isdisjoint(nodes):
                product = self.products[place]
                if product.both_macs and not any(nodes) and hidden:
                    found = product.module
                self.products[place] = replace(
                    product, weight_macs=0, input_macs=0, both_macs=0, upstream=frozenset()
                )
        return found
