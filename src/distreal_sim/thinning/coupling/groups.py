"""Finds the coupling groups of a network by watching one forward pass, and tries them in a second one."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.thinning.coupling.trace import Trace, trace
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import (
    FIXED,
    Axis,
    Group,
    Override,
    Segment,
    Structure,
    TensorLayout,
    ThinningError,
    axis_length,
    kept_elements,
)

__all__ = ["Group", "Structure", "ThinningError", "find_groups"]


def find_groups(module: nn.Module, example: Tensor) -> Structure:
    """The coupling groups of `module` for inputs like `example` (n, C, ...); `module` is not changed.

    Raises ThinningError, naming the module and the reason, for a network that cannot be thinned.
    """
    try:
        copied = copy.deepcopy(module).cpu().train()
    except Exception as error:  # a module may hold anything
        raise ThinningError(f"{type(module).__name__} cannot be copied: {error}") from error
    if len(example) < 2:  # batch normalisation wants two values a channel, and an axis of one is ambiguous
        example = torch.cat([example, example])
    example = example.detach().cpu()
    seen = trace(copied, example)
    _try_more_examples(copied, seen, example)
    structure = _Reading(seen).structure()
    _try_thinned(copied, structure, seen, example)
    return structure


class _Reading:
    """Turns the atoms of a trace into groups and segments."""

    def __init__(self, seen: Trace) -> None:
        self.seen = seen
        producers: defaultdict[int, list[int]] = defaultdict(list)
        for number, producer in enumerate(seen.producers):
            for root in dict.fromkeys(
                seen.find(np.arange(producer.start, producer.start + producer.n)).tolist()
            ):
                producers[root].append(number)
        producers.pop(0, None)
        # Channels with the same producers form a group; a dict keeps the order in which they are produced.
        members: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for root, numbers in producers.items():
            if any(seen.producers[n].kind is not None for n in numbers):
                members[tuple(numbers)].append(root)
        self.roots = [np.array(roots) for roots in members.values()]
        self.groups = []
        for signature, roots in members.items():
            made_by = [seen.producers[n] for n in signature]
            kind = "conv" if any(p.kind == "conv" for p in made_by) else "linear"
            first = next(p for p in made_by if p.kind is not None)
            self.groups.append(Group(first.module, len(roots), "conv" if kind == "conv" else "linear"))
        self.place = {int(r): (g, i) for g, roots in enumerate(self.roots) for i, r in enumerate(roots)}

    def structure(self) -> Structure:
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
        layers = tuple(replace(layer, alone=seen.uses[layer.weight] == 1) for layer in seen.layers)
        return Structure(tuple(self.groups), tensors, parameters, layers, overrides, scaled)

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
        roots = self.seen.find(atoms)
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


def _try_more_examples(module: nn.Module, seen: Trace, example: Tensor) -> None:
    """Runs `module` (a private copy) with one example more, to find costs that do not grow with them."""
    more = trace(module, torch.cat([example, example[:1]]))
    for first, second in zip(seen.layers, more.layers, strict=False):
        if first.weight == second.weight and first.positions != second.positions:
            n = len(example)
            raise ThinningError(
                f"module '{first.module}' cannot be thinned: it has {n * first.positions} positions for {n} "
                f"examples and {(n + 1) * second.positions} for {n + 1}, so that its cost is not that of an "
                "example times their number"
            )


def _try_thinned(module: nn.Module, structure: Structure, seen: Trace, example: Tensor) -> None:
    """Runs `module` (a private copy) once with about half the channels, to find widths fixed in its code."""
    counts = tuple(max(g.blocks, g.channels // (2 * g.blocks) * g.blocks) for g in structure.groups)
    cut(module, structure, first_mask(structure, counts).kept, counts)
    with torch.random.fork_rng(devices=[]):
        again = Trace(module)
        again.set_channels(example, 1, np.zeros(example.shape[1], np.int64))
        try:
            with again.watch():
                module(example)
        except ThinningError as error:
            raise _fixed_width(again, seen, structure, counts) or error from error
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            known = _fixed_width(again, seen, structure, counts)
            raise known or again.refuse(f"at a smaller width it fails with: {error}") from error
    mismatch = _fixed_width(again, seen, structure, counts)
    if mismatch is not None:
        raise mismatch


def cut(
    module: nn.Module, structure: Structure, kept: Sequence[np.ndarray | None], counts: Sequence[int]
) -> None:
    """Replaces the parameters and buffers of `module`, in place, by those of the kept channels."""
    for part_name, part in module.named_modules():
        prefix = f"{part_name}." if part_name else ""
        for key, parameter in list(part._parameters.items()):
            if parameter is not None and prefix + key in structure.tensors:
                layout = structure.tensors[prefix + key]
                if layout.cut_groups:
                    smaller = parameter.detach()[_torch_index(layout, kept)].clone()
                    part._parameters[key] = nn.Parameter(smaller, requires_grad=parameter.requires_grad)
        for key, buffer in list(part._buffers.items()):
            if buffer is not None and prefix + key in structure.tensors:
                layout = structure.tensors[prefix + key]
                if layout.cut_groups:
                    part._buffers[key] = buffer[_torch_index(layout, kept)].clone()
    for override in structure.overrides:
        setattr(module.get_submodule(override.module), override.attribute, override.value(counts))


def _torch_index(layout: TensorLayout, kept: Sequence[np.ndarray | None]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(i)) for i in kept_elements(layout, kept))


def _fixed_width(
    again: Trace, seen: Trace, structure: Structure, counts: tuple[int, ...]
) -> ThinningError | None:
    """The first operation whose result is not as wide as predicted; None if all that ran are."""
    reading = _Reading(seen)
    for first, second in zip(seen.visits, again.visits, strict=False):
        if first.operation != second.operation or first.channels is None or second.channels is None:
            continue
        axis = reading.axis(first.channels.atoms, first.module)
        expected, found = axis_length(axis, counts), len(second.channels.atoms)
        if expected != found:
            return ThinningError(
                f"{first.module} cannot be thinned: '{first.operation}' gives {found} channels where a "
                f"thinned network has {expected} (full: {len(first.channels.atoms)}); its code holds a "
                "constant that fixes the width; take it from the input instead, for example x.flatten(1) or "
                "x.view(x.shape[0], -1)"
            )
    return None
