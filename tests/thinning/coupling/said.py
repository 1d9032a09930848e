"""What is said of a network that cannot be thinned as a whole."""

from __future__ import annotations

import copy

import torch
from thinning.foreign.twin import judge
from torch import Tensor, nn

from distreal_sim.thinning.coupling.groups import ThinningError, find_groups


def refusal(module: nn.Module, x: Tensor) -> str:
    """Why the network is refused; empty if it is not."""
    try:
        find_groups(module, x)
    except ThinningError as error:
        return str(error)
    return ""


def left_whole(module: nn.Module, x: Tensor) -> str:
    """What of an accepted network is left whole, and why, once its twin has found it right."""
    structure = find_groups(module, x)
    y = torch.zeros(len(x) + 1, dtype=torch.long)
    own = torch.rand(len(x) + 1, *x.shape[1:], dtype=torch.float64)
    verdict, _ = judge(copy.deepcopy(module).double().train(), own, y, loss_fn=squares, thorough=False)
    assert verdict == "right"
    return "; ".join(f"{of.module} is left whole: {of.reason}" for of in structure.whole)


def squares(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs**2).mean()
