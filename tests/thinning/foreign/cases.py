"""What a foreign network is, and the list of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CASES: dict[str, Case] = {}
"""Every network by name; the files beside this one fill it."""

Loss = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A network with 3 classes, and what the engine should say of it.

    make(*widths): the network; widths: also the groups that are expected, in order. shape: of an example.
    n_tokens: the example holds so many whole numbers below this, in place of floats. refused: part of the
    reason if it must be refused. whole: part of the reason if some of it must be left whole. made: the
    network's widths, if these are not its groups. rebuilt: whether make(*counts) is the thinned network for
    any counts.
    """

    make: Callable[..., nn.Module]
    widths: tuple[int, ...]
    shape: tuple[int, ...] = (3, 6, 6)
    n_tokens: int = 0
    refused: str | None = None
    loss_fn: Loss = F.cross_entropy
    rebuilt: bool = True
    whole: str | None = None
    made: tuple[int, ...] | None = None


def right(*widths: int, **options: Any) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Adds a network that must be thinned rightly; options: see Case."""

    def add(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        assert make.__name__ not in CASES
        CASES[make.__name__] = Case(make, widths, **options)
        return make

    return add


def refused(reason: str, *widths: int, **options: Any) -> Callable[[Callable[..., nn.Module]], Any]:
    """Adds a network that must be refused, for a reason that contains `reason`."""
    return right(*widths, refused=reason, **options)


def whole(
    reason: str, *made: int, groups: tuple[int, ...] = (), **options: Any
) -> Callable[[Callable[..., nn.Module]], Any]:
    """Adds a network of which some must be left whole, for a reason that contains `reason`.

    made: the arguments that make it; groups: what can be thinned.
    """
    return right(*groups, whole=reason, made=made, rebuilt=False, **options)


class Net(nn.Module):
    """A network of named parts and a function run(network, x); tensors that are no parameters are buffers."""

    def __init__(self, run: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def conv(n_in: int, n_out: int, size: int = 3, **options: Any) -> nn.Conv2d:
    """A convolution that keeps the maps' size."""
    return nn.Conv2d(n_in, n_out, size, padding=size // 2, **options)


def pooled(x: Tensor) -> Tensor:
    """ReLU and the mean over positions: (n, C, ...) -> (n, C)."""
    return F.relu(x).flatten(2).mean(2)


def vector(*shape: int) -> nn.Parameter:
    """A parameter with values between 0.5 and 1.5."""
    return nn.Parameter(torch.linspace(0.5, 1.5, int(torch.Size(shape).numel())).reshape(shape))
