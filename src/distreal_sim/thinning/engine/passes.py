"""Ways to compute a step: by autograd, with large linear layers updated during it, or without autograd.

A plan selects the fastest one that its network and its rule allow, once; all of them compute the same steps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.thinning.engine.chain import Chain
from distreal_sim.thinning.engine.linear import LargeLinear
from distreal_sim.thinning.engine.update import Descent, StepRule, clipped, pulled
from distreal_sim.thinning.structure import ThinningError

Loss = Callable[[Any, Tensor], Tensor]

Run = Callable[[nn.Module, Tensor], Any]
"""run(network, x): the outputs that the loss gets."""


class Objective(NamedTuple):
    """The loss that a step minimises, and the parameters that it may change; see `Engine.step`."""

    loss_fn: Loss = F.cross_entropy
    trained: Collection[str] | None = None
    run: Run | None = None


PLAIN = Objective()


@dataclass(frozen=True)
class Parameters:
    """The trained parameters of a network at some width.

    leaves: their values, as views of scratch memory or the resident tensors themselves; values: the same
    without autograd; states: a list for each of the rule's states, in the order of the leaves; n_steps: the
    same, counted by rules that need it; scales: (index into leaves, factor, where modules keep it) of the
    weights that inverted scaling multiplies.
    """

    names: tuple[str, ...]
    leaves: list[Tensor]
    values: list[Tensor]
    states: tuple[list[Tensor], ...]
    n_steps: list[Tensor]
    scales: list[tuple[int, Tensor, list[tuple[dict[str, Any], str]]]]

    @property
    def momenta(self) -> list[Tensor]:
        """The velocities of SGD; empty without momentum."""
        return self.states[0] if self.states else []

    def scaled(self) -> list[Tensor]:
        """The leaves that the module reads; scaled leaves are written into it for each pass."""
        if not self.scales:
            return self.leaves
        leaves = list(self.leaves)
        for index, factor, slots in self.scales:
            leaves[index] = (self.leaves[index].detach() * factor).requires_grad_()
            for tensors, key in slots:
                tensors[key] = leaves[index]
        return leaves


class Pass(Protocol):
    """A way to compute a step."""

    def step(
        self, x: Tensor, y: Tensor, objective: Objective, rule: StepRule, anchors: list[Tensor]
    ) -> float:
        """Updates parameters and states; returns the loss. anchors: in the order of the leaves, or empty."""
        ...


@dataclass(frozen=True)
class Autograd:
    """Forward and backward passes by autograd.

    forward(module, x, run): the outputs; thinned: whether the module runs at less than its full width;
    clip_norm: the longest gradient of a step, all parameters together, None for any.
    """

    module: nn.Module
    parameters: Parameters
    forward: Callable[[nn.Module, Tensor, Run | None], Any]
    thinned: bool
    clip_norm: float | None

    def step(
        self, x: Tensor, y: Tensor, objective: Objective, rule: StepRule, anchors: list[Tensor]
    ) -> float:
        """See `Pass.step`."""
        loss, gradients = self.gradients(x, y, objective)
        self.update(gradients, rule, anchors)
        return loss.item()

    def gradients(self, x: Tensor, y: Tensor, objective: Objective) -> tuple[Tensor, list[Tensor | None]]:
        """The loss and its gradient for each leaf; None for leaves without a gradient or not trained."""
        loss_fn, trained, run = objective
        leaves = self.parameters.scaled()
        try:
            outputs = self.forward(self.module, x, run)
        except (RuntimeError, IndexError) as error:
            if not self.thinned or "allocate" in str(error):
                raise
            raise ThinningError(
                f"the network fails at a smaller width: {error}; it took another path than when its channels"
                " were followed, by chance or by the values or number of its inputs, and cannot be thinned"
            ) from error
        loss = loss_fn(outputs, y)
        gradients: list[Tensor | None] = [None] * len(leaves)
        wanted = [i for i, name in enumerate(self.parameters.names) if trained is None or name in trained]
        found = torch.autograd.grad(loss, [leaves[i] for i in wanted], allow_unused=True)
        for index, gradient in zip(wanted, found, strict=True):
            sparse = gradient is not None and gradient.is_sparse  # as of nn.Embedding(sparse=True)
            gradients[index] = gradient.to_dense() if sparse else gradient
        for index, factor, _ in self.parameters.scales:
            scaled = gradients[index]
            if scaled is not None:
                gradients[index] = scaled * factor
        return loss, gradients

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None], rule: StepRule, anchors: list[Tensor]) -> None:
        """Updates the parameters along these gradients; those without a gradient do not change."""
        own = self.parameters
        used = [index for index, gradient in enumerate(gradients) if gradient is not None]
        if not used:
            return
        weights, *states, n_steps = ([of[i] for i in used] for of in (own.leaves, *own.states, own.n_steps))
        found = [gradient for gradient in gradients if gradient is not None]
        if anchors:
            found = pulled(weights, found, [anchors[i] for i in used], rule.proximal)
        if self.clip_norm is not None:
            found = clipped(found, self.clip_norm)
        rule.along_all(weights, found, states, n_steps)


@dataclass(frozen=True)
class UpdatesLinears:
    """Steps by autograd whose backward pass updates large linear layers.

    linears: the layers, each with the index of its weight.
    """

    autograd: Autograd
    linears: list[tuple[LargeLinear, int]]

    def step(
        self, x: Tensor, y: Tensor, objective: Objective, rule: StepRule, anchors: list[Tensor]
    ) -> float:
        """See `Pass.step`."""
        assert isinstance(rule, Descent)
        parameters, trained = self.autograd.parameters, objective.trained
        for linear, index in self.linears:
            if trained is None or parameters.names[index] in trained:
                velocity, anchor = (of[index] if of else None for of in (parameters.momenta, anchors))
                linear.on(rule, parameters.leaves[index], velocity, anchor)
        try:
            loss, gradients = self.autograd.gradients(x, y, objective)
        finally:
            for linear, _ in self.linears:
                linear.off()
        for linear, index in self.linears:
            if linear.updated and gradients[index] is not None:
                raise ThinningError(
                    f"'{parameters.names[index]}' is used by its layer and beside it too, so that its update "
                    "would be wrong; run the network by torch.func.functional_call with weights of your own"
                )
        self.autograd.update(gradients, rule, anchors)
        return loss.item()


@dataclass(frozen=True)
class WrittenOut:
    """Plain steps of a chain of linear layers without autograd; other steps are left to another way."""

    chain: Chain
    parameters: Parameters
    otherwise: Pass

    def step(
        self, x: Tensor, y: Tensor, objective: Objective, rule: StepRule, anchors: list[Tensor]
    ) -> float:
        """See `Pass.step`."""
        if objective != PLAIN:
            return self.otherwise.step(x, y, objective, rule, anchors)
        assert isinstance(rule, Descent)
        return self.chain.step(x, y, self.parameters.values, self.parameters.momenta, anchors, rule)


def outputs_of(module: nn.Module, x: Tensor, run: Run | None) -> Any:
    """The network's outputs."""
    return module(x) if run is None else run(module, x)


def bfloat16_outputs_of(module: nn.Module, x: Tensor, run: Run | None, *, dtype: torch.dtype) -> Any:
    """The network's outputs under PyTorch's autocast, converted to dtype."""
    with torch.autocast(x.device.type, torch.bfloat16):
        outputs = outputs_of(module, x, run)
    return _widened(outputs, dtype)


def _widened(outputs: Any, dtype: torch.dtype) -> Any:
    """Outputs of lower precision, alone or in lists and tuples, converted to dtype for the loss."""
    if isinstance(outputs, Tensor):
        return outputs.to(dtype) if outputs.is_floating_point() else outputs
    if type(outputs) in (list, tuple):
        return type(outputs)(_widened(part, dtype) for part in outputs)
    return outputs
