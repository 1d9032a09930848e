"""Plans: tensors and passes for certain channel counts, prepared once and used for every such mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from distreal_sim.thinning.engine.chain import find_chain
from distreal_sim.thinning.engine.layout import keep_layout
from distreal_sim.thinning.engine.linear import MIN_ELEMENTS, LargeLinear
from distreal_sim.thinning.engine.memory import Cut, Memory, RowIndex
from distreal_sim.thinning.engine.passes import (
    Autograd,
    Parameters,
    Pass,
    UpdatesLinears,
    WrittenOut,
    bfloat16_outputs_of,
    outputs_of,
)
from distreal_sim.thinning.heads import follow_heads
from distreal_sim.thinning.recurrent import follow_weights
from distreal_sim.thinning.structure import FIXED, Axis, Precision, Structure

Scaling = Literal["none", "inverted"]
Slots = dict[str, list[tuple[dict[str, Any], str]]]
"""Tensor name -> where modules keep it: (their parameters or buffers, key)."""

MAX_PLANS = 256


@dataclass(frozen=True)
class Plan:
    """Tensors and passes for certain counts, prepared once.

    parameters: the trained parameters at this width; slots: (parameters or buffers of a module, key, tensor)
    for every tensor that the module reads; attributes: (module, name, value) of attributes that hold a width;
    autograd: passes of any kind; steps: the fastest way to compute steps.
    """

    cut: Cut | None
    parameters: Parameters
    slots: list[tuple[dict[str, Any], str, Tensor]]
    attributes: list[tuple[nn.Module, str, Any]]
    autograd: Autograd
    steps: Pass


class Plans:
    """The plans of one engine, for its private network `module` and its resident memory.

    names: the trained parameters; states: memory of each of the rule's states; fast: whether the rule is SGD
    without clipping, which can be applied in the backward pass. The constructor analyses the network and adds
    its hooks.
    """

    def __init__(
        self,
        module: nn.Module,
        structure: Structure,
        names: tuple[str, ...],
        memory: Memory,
        states: Sequence[Memory],
        rows: RowIndex,
        scaling: Scaling,
        precision: Precision,
        clip_norm: float | None,
        fast: bool,
    ) -> None:
        self._module, self._structure, self._names = module, structure, names
        self._memory, self._states, self._rows, self._scaling = memory, tuple(states), rows, scaling
        self._clip_norm, self._fast = clip_norm, fast
        self.n_steps = [torch.zeros(()) for _ in names]
        """Steps of each parameter, for rules that count them."""
        self._full = structure.full_counts()
        self._slots = _find_slots(module, memory)
        self._chain = find_chain(module, names)  # before it gets hooks: a module with hooks is in no chain
        keep_layout(module)
        follow_weights(module)
        follow_heads(module)
        self.draws = self._chain is None or not fast
        """Whether a step may draw from a global generator; of a chain, only a user's optimizer could."""
        self._linears = self._find_linears() if fast else {}
        mixed = precision == "bfloat16" and self._chain is None
        self._forward = partial(bfloat16_outputs_of, dtype=memory.dtype) if mixed else outputs_of
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._bound: Plan | None = None

    def bind(self, counts: tuple[int, ...]) -> Plan:
        """The plan for (G,) kept channels; puts its tensors into the network."""
        plan = self._plans.get(counts)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.pop(next(iter(self._plans)))
            plan = self._plans[counts] = self._make(counts)
        if plan is not self._bound:
            for tensors, key, tensor in plan.slots:
                tensors[key] = tensor
            for module, attribute, value in plan.attributes:
                setattr(module, attribute, value)
            self._bound = plan
        return plan

    def _find_linears(self) -> dict[str, LargeLinear]:
        """Large linear layers by the name of their weight, if nothing else in the network uses it."""
        alone = {layer.weight for layer in self._structure.layers if layer.alone}
        found = {}
        for name, part in self._module.named_modules():
            weight = f"{name}.weight" if name else "weight"
            if type(part) is not nn.Linear or weight not in self._names or part.weight.numel() < MIN_ELEMENTS:
                continue
            if weight in alone and len(self._slots[weight]) == 1:
                found[weight] = LargeLinear(part)
                part.forward = found[weight]  # type: ignore[method-assign,assignment]
        return found

    def _make(self, counts: tuple[int, ...]) -> Plan:
        cut = self._rows.cut(counts, self._full) if counts != self._full else None
        values = self._memory.thinned(cut)
        for name in self._names:
            values[name].requires_grad_()
        states = tuple(
            [thinned[n] for n in self._names] for thinned in (s.thinned(cut) for s in self._states)
        )
        slots = [(tensors, key, values[n]) for n, places in self._slots.items() for tensors, key in places]
        attributes = [
            (self._module.get_submodule(o.module), o.attribute, o.value(counts))
            for o in self._structure.overrides
        ]
        scales = []
        if self._scaling == "inverted" and cut is not None:
            for name, axis in self._structure.scaled.items():
                factor = _factor(axis, counts, values[name], 0 if name in self._structure.transposed else 1)
                if factor is not None and name in self._names:
                    scales.append((self._names.index(name), factor, self._slots[name]))
        leaves = [values[n] for n in self._names]
        values_only = [leaf.detach() for leaf in leaves]
        own = Parameters(self._names, leaves, values_only, states, self.n_steps, scales)
        autograd = Autograd(self._module, own, self._forward, cut is not None, self._clip_norm)
        return Plan(cut, own, slots, attributes, autograd, self._fastest(autograd))

    def _fastest(self, autograd: Autograd) -> Pass:
        """The fastest way to compute a step; scaled weights need autograd, as the module reads copies."""
        parameters = autograd.parameters
        steps: Pass = autograd
        scaled = {index for index, _, _ in parameters.scales}
        linears = [(linear, self._names.index(name)) for name, linear in self._linears.items()]
        linears = [(linear, index) for linear, index in linears if index not in scaled]
        if linears:
            steps = UpdatesLinears(autograd, linears)
        if self._chain is not None and self._fast and not scaled:
            steps = WrittenOut(self._chain, parameters, steps)
        return steps


def _find_slots(module: nn.Module, memory: Memory) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """The places where the module keeps each tensor; several if it is shared."""
    names = {id(t): n for n, t in [*module.named_parameters(), *module.named_buffers()]}
    slots: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for key, tensor in tensors.items():
                name = names.get(id(tensor))
                if name in memory.full:
                    slots.setdefault(name, []).append((tensors, key))
    return slots


def _factor(axis: Axis, counts: tuple[int, ...], weight: Tensor, dim: int) -> Tensor | None:
    """Factor of inverted scaling for a weight: channels / kept along its input axis, `dim`."""
    factors = [1.0 if s.group == FIXED else s.size / counts[s.group] for s in axis]
    if all(f == 1.0 for f in factors):
        return None
    if len(set(factors)) == 1:
        return weight.new_tensor(factors[0])
    lengths = [s.length(counts) for s in axis]
    along = torch.repeat_interleave(torch.tensor(factors, dtype=weight.dtype), torch.tensor(lengths))
    return along.to(weight.device).view(*(1,) * dim, -1, *(1,) * (weight.dim() - 1 - dim))
