"""Steps of a chain of linear layers, for example logistic regression, without autograd.

For layers of a few thousand multiplications, building and traversing an autograd graph takes longer than the
arithmetic. The backward pass of a chain is the same few lines for each layer, so it is written out here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.thinning.engine.update import Descent


@dataclass(frozen=True)
class Link:
    """A linear layer: indices of its weight and bias in the engine's names, and whether ReLU follows."""

    weight: int
    bias: int | None
    relu: bool


@dataclass(frozen=True)
class Chain:
    """Consecutive linear layers, possibly after a flatten; the loss is the mean cross-entropy."""

    links: tuple[Link, ...]
    flattens: bool

    def step(
        self,
        x: Tensor,
        y: Tensor,
        values: Sequence[Tensor],
        momenta: Sequence[Tensor],
        anchors: Sequence[Tensor],
        descent: Descent,
    ) -> float:
        """One step; returns the loss.

        values, momenta, anchors: in the order of the engine's names; momenta and anchors may be empty;
        values: the parameters, without autograd.
        """
        out = x.flatten(1) if self.flattens else x
        inputs = []
        for link in self.links:
            inputs.append(out)
            out = F.linear(out, values[link.weight], None if link.bias is None else values[link.bias])
            if link.relu:
                out.relu_()
        log_p = torch.log_softmax(out, 1)
        loss = F.nll_loss(log_p, y)
        grad = log_p.exp_().sub_(_unit_rows(log_p.shape[1], log_p.dtype, log_p.device).index_select(0, y))
        grad.div_(y.shape[0])
        for number in reversed(range(len(self.links))):
            link, read = self.links[number], inputs[number]
            grad_out = grad
            if number:  # first, because it needs the weight before the update
                grad = grad_out.mm(values[link.weight])
                if self.links[number - 1].relu:
                    grad.masked_fill_(read <= 0, 0.0)
            velocity = momenta[link.weight] if momenta else None
            anchor = anchors[link.weight] if anchors else None
            descent.along_product(values[link.weight], grad_out, read, velocity, anchor)
            if link.bias is not None:
                velocity = momenta[link.bias] if momenta else None
                anchor = anchors[link.bias] if anchors else None
                descent.along(values[link.bias], grad_out.sum(0), velocity, anchor)
        value: float = loss.item()
        return value


@functools.lru_cache(maxsize=8)
def _unit_rows(n_classes: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One-hot target probabilities, by label."""
    return torch.eye(n_classes, dtype=dtype, device=device)


def find_chain(module: nn.Module, names: Sequence[str]) -> Chain | None:
    """The network as a chain, or None if it is no chain; names: its trained parameters."""
    parts = list(_parts(module, ""))
    if any(_is_special(part) for _, part in parts) or len({id(part) for _, part in parts}) < len(parts):
        return None
    links: list[Link] = []
    flattens = False
    for name, part in parts:
        if type(part) is nn.Linear:
            weight, bias = f"{name}weight", f"{name}bias" if part.bias is not None else None
            if weight not in names or (bias is not None and bias not in names):
                return None  # frozen, or shared with another layer
            links.append(Link(names.index(weight), None if bias is None else names.index(bias), False))
        elif type(part) is nn.ReLU and links:
            links[-1] = Link(links[-1].weight, links[-1].bias, True)
        elif type(part) is nn.Flatten and not links and (part.start_dim, part.end_dim) == (1, -1):
            flattens = True
        elif type(part) is not nn.Sequential:
            return None
    return Chain(tuple(links), flattens) if links and not links[-1].relu else None


def _parts(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules in the order in which an nn.Sequential runs them, with the prefix of their parameters."""
    yield prefix, module
    if type(module) is nn.Sequential:
        for name, part in module.named_children():
            yield from _parts(part, f"{prefix}{name}.")


def _is_special(part: nn.Module) -> bool:
    """Whether a module's behaviour is changed by anything other than its class, such as hooks."""
    hooks = part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks
    return any(hooks) or "forward" in vars(part) or bool(getattr(part, "parametrizations", None))
