"""Finds the coupling groups of a network by tracing forward passes, and tests them at smaller widths."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.thinning.coupling.passes import watch_passes
from distreal_sim.thinning.coupling.rules import apply_rule
from distreal_sim.thinning.coupling.trace import Pass, Trace
from distreal_sim.thinning.coupling.trial import try_thinned
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.thinning.structure import (
    FIXED,
    Axis,
    Group,
    Override,
    Segment,
    Structure,
    TensorLayout,
    ThinningError,
)

__all__ = ["Group", "Structure", "ThinningError", "find_groups"]


def find_groups(module: nn.Module, example: Tensor) -> Structure:
    """The coupling groups of `module` for inputs like `example` (n, C, ...); `module` is not changed.

    The traced passes use their own parameter values, and inputs between 0 and 1 unless `example` holds
    integers. Raises ThinningError, naming the module and the reason, for a network that cannot be thinned.
    """
    try:
        copied = copy.deepcopy(module).cpu()
    except Exception as error:  # a module may hold anything
        raise ThinningError(f"{type(module).__name__} cannot be copied: {error}") from error
    if (
        len(example) < 2
    ):  # batch normalisation needs two values per channel, and an axis of length 1 is ambiguous
        example = torch.cat([example, example])
    example = _with_values(copied, example.detach().cpu())
    fresh = copy.deepcopy(copied).train()  # a pass may leave objects in a network that cannot be copied
    seen = Trace(copied, apply_rule)
    first, tested = watch_passes(seen, example)
    structure = _Reading(seen).structure(first)
    rng = np.random.default_rng(0)
    for counts in (_uneven(structure), tuple(group.blocks for group in structure.groups)):
        mask = sample_mask(structure, counts, rng)
        try_thinned(fresh, structure, seen, first.visits, example, mask)
        if first.path != tested.path:
            try_thinned(fresh.eval(), structure, seen, tested.visits, example, mask)
            fresh.train()
    return structure


def _with_values(module: nn.Module, example: Tensor) -> Tensor:
    """Gives every parameter values by which channels can be told apart; returns such an example."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                values = torch.rand(parameter.shape, generator=rng) + 0.5
                if parameter.dim() > 1:
                    values = (values - 1) * (12 / max(1, parameter[0].numel())) ** 0.5
                parameter.copy_(values)
    if example.is_floating_point():
        return torch.rand(example.shape, generator=rng, dtype=example.dtype)
    return example


def _uneven(structure: Structure) -> tuple[int, ...]:
    """Counts between one and all but one of each block's channels, different for groups of equal size."""
    counts = []
    for number, group in enumerate(structure.groups):
        size = group.channels // group.blocks
        counts.append(group.blocks * (1 + (size // 2 + number) % max(1, size - 1)))
    return tuple(counts)


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
        return Structure(tuple(self.groups), tensors, parameters, layers, overrides, scaled, transposed)

    def _set_blocks(self, where: str, atoms: np.ndarray, blocks: int) -> None:
        axis = self.axis(atoms, where)
        if all(segment.group == FIXED for segment in axis):
            return
        if len(axis) > 1:
            raise ThinningError(
                f"{where} cannot be thinned: its {blocks} groups of channels do not match the coupled "
                f"channels it reads (a concatenation, or partly fixed)"
            )
        g = axis[0].group
        group = self.groups[g]
        both = math.lcm(group.blocks, blocks)
        if group.channels % both:
            raise ThinningError(
                f"{where} cannot be thinned: {group.channels} coupled channels do not split into "
                f"{both} equal groups"
            )
        self.groups[g] = Group(group.name, group.channels, group.kind, both)

    def axis(self, atoms: np.ndarray, what: str) -> Axis:
        """Segments of an axis. Raises ThinningError if it has part of a group, or a group out of order."""
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
                raise ThinningError(
                    f"{what} cannot be thinned: it has the channels of '{self.groups[g].name}' in part or "
                    "out of order (chunk, split and channel shuffles are not supported)"
                )
            segments.append(Segment(g, len(members), inner))
            at += len(expected)
        return tuple(segments)
