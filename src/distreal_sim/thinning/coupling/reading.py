"""Reads the groups and segments of a network off the atoms of its trace."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np

from distreal_sim.thinning.cost import training_macs_of_layers
from distreal_sim.thinning.coupling.channels import Atoms
from distreal_sim.thinning.coupling.notes import left_whole
from distreal_sim.thinning.coupling.record import Pass
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import (
    FIXED,
    Axis,
    Group,
    Override,
    Product,
    Segment,
    Structure,
    TensorLayout,
    is_cut,
)


def read_structure(seen: Trace, first: Pass) -> Structure:
    """The structure of the traced network, with the layers of this pass, and what is left whole.

    Channels whose places no group describes are kept whole, and noted.
    """
    seen.keep_streams()
    while True:
        try:
            structure = _Reading(seen).structure(first)
        except _MisreadError as found:
            seen.note(found.where.strip("'").rpartition(".")[0], found.where, found.reason, [found.atoms])
            continue
        counts = structure.full_counts()
        layers = list(zip(structure.layers, training_macs_of_layers(structure, counts), strict=True))
        products = [(p, p.forward_macs + p.both_macs) for p in structure.products]
        return replace(structure, whole=left_whole(list(seen.notes.values()), layers, products))


class _MisreadError(Exception):
    """An axis whose channels no segments describe."""

    def __init__(self, where: str, atoms: Atoms, reason: str) -> None:
        super().__init__(reason)
        self.where, self.atoms, self.reason = where, atoms, reason


class _Reading:
    """Turns the atoms of a trace into groups and segments."""

    def __init__(self, seen: Trace) -> None:
        self.seen = seen
        producers: defaultdict[int, list[int]] = defaultdict(list)
        made = list(seen.producers.values())
        for number, producer in enumerate(made):
            for root in dict.fromkeys(seen.couplings.find(producer.atoms).tolist()):
                producers[root].append(number)
        producers.pop(0, None)
        # Channels with the same producers form a group; a dict keeps the order in which they are produced.
        members: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for root, numbers in producers.items():
            members[tuple(numbers)].append(root)
        self.roots = [np.array(roots) for roots in members.values()]
        self.groups = []
        for signature, roots in members.items():
            made_by = [made[n] for n in signature]
            kind = "conv" if any(p.kind == "conv" for p in made_by) else "linear"
            self.groups.append(Group(made_by[0].module, len(roots), "conv" if kind == "conv" else "linear"))
        self.place = {int(r): (g, i) for g, roots in enumerate(self.roots) for i, r in enumerate(roots)}

    def structure(self, first: Pass) -> Structure:
        """The structure of the network, with the layers of this pass."""
        seen = self.seen
        for where, atoms, blocks in seen.blocked:
            self._set_blocks(where, atoms, blocks)
        tensors = {}
        state = {**dict(seen.module.named_parameters()), **dict(seen.module.named_buffers())}
        for name, tensor in state.items():
            axes = seen.axes[name]
            layout = tuple(
                self.axis(axes[dim], f"'{name}'") if dim in axes else (Segment(FIXED, size),)
                for dim, size in enumerate(tensor.shape)
            )
            tensors[name] = TensorLayout(tuple(tensor.shape), layout, seen.weight_blocks.get(name, 1))
        overrides = tuple(
            Override(a.module, a.attribute, self.axis(a.atoms, f"'{a.module}'"), a.full, a.index)
            for a in seen.attributes.values()
        )
        scaled = {name: self.axis(atoms, f"'{name}'") for name, atoms in seen.scaled.items()}
        parameters = tuple(name for name, _ in seen.module.named_parameters())
        layers = tuple(replace(layer, alone=first.uses[layer.weight] == 1) for layer in first.layers)
        transposed = frozenset(seen.transposed)
        products = tuple(self._product(*of) for of in zip(first.products, first.product_axes, strict=True))
        return Structure(
            tuple(self.groups), tensors, parameters, layers, overrides, scaled, transposed, products
        )

    def _product(self, product: Product, atoms: Atoms | None) -> Product:
        axis = () if atoms is None else self.axis(atoms, product.module)
        return replace(product, axis=axis) if is_cut(axis) else product

    def _set_blocks(self, where: str, atoms: np.ndarray, blocks: int) -> None:
        axis = self.axis(atoms, where)
        if all(segment.group == FIXED for segment in axis):
            return
        if len(axis) > 1:
            reason = (
                f"its {blocks} groups of channels do not match the coupled channels it reads (a "
                "concatenation, or partly fixed)"
            )
            raise _MisreadError(where, atoms, reason)
        g = axis[0].group
        group = self.groups[g]
        both = math.lcm(group.blocks, blocks)
        if group.channels % both:
            reason = f"{group.channels} coupled channels do not split into {both} equal groups"
            raise _MisreadError(where, atoms, reason)
        self.groups[g] = Group(group.name, group.channels, group.kind, both)

    def axis(self, atoms: np.ndarray, what: str) -> Axis:
        """Segments of an axis. Raises _MisreadError if it has part of a group, or a group out of order."""
        roots = self.seen.couplings.find(atoms)
        segments: list[Segment] = []
        at = 0
        while at < len(roots):
            if int(roots[at]) not in self.place:
                stop = at + 1
                while stop < len(roots) and int(roots[stop]) not in self.place:
                    stop += 1
                segments.append(Segment(FIXED, stop - at))
                at = stop
                continue
            g, _ = self.place[int(roots[at])]
            members = self.roots[g]
            inner = 1
            while len(members) > 1 and at + inner < len(roots) and roots[at + inner] == roots[at]:
                inner += 1
            expected = np.repeat(members, inner)
            if not np.array_equal(roots[at : at + len(expected)], expected):
                reason = f"it has the channels of '{self.groups[g].name}' in part or out of order"
                raise _MisreadError(what, atoms, reason)
            segments.append(Segment(g, len(members), inner))
            at += len(expected)
        return tuple(segments)
