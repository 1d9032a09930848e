"""Plain SGD by torch, in float32 and float64: how near float32 steps must come on any processor.

Which way a matrix library sums, and so how a float32 result rounds, depends on the processor. Float64 is the
measure: a step that sums in another order than torch's may be wrong by as much as torch's own, not more.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = float(np.finfo(np.float32).eps)


class Steps(NamedTuple):
    """losses: of each step, before it; arrays: the parameters after the last one, by name."""

    losses: Sequence[float]
    arrays: Mapping[str, np.ndarray]


def sgd(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    lrs: Sequence[float],
    *,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    proximal: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> Steps:
    """One step of torch.optim.SGD at each rate, on cross-entropy + proximal / 2 |w - w_0|^2."""
    plain = copy.deepcopy(module).to(dtype)
    anchors = [p.detach().clone() for p in plain.parameters()]
    optimiser = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=momentum, weight_decay=weight_decay)
    losses = []
    for lr in lrs:
        optimiser.param_groups[0]["lr"] = lr
        optimiser.zero_grad()
        loss = F.cross_entropy(plain(x.to(dtype)), y)
        losses.append(loss.item())
        if proximal:
            away = sum(((p - a) ** 2).sum() for p, a in zip(plain.parameters(), anchors, strict=True))
            loss = loss + proximal / 2 * away
        loss.backward()
        optimiser.step()
    return Steps(losses, {name: p.detach().numpy() for name, p in plain.named_parameters()})


def assert_as_near_as_torch(ours: Steps, torchs: Steps, exact: Steps) -> None:
    """Errors against float64 are at most twice torch's, and a few roundings of the values.

    Compared are the largest error of a loss, and the root mean square error of each parameter: single numbers
    are nearer or farther by chance. A loss is a difference of scores, which are as large as its first value.
    """
    scale = max(1.0, max(map(abs, exact.losses)))
    wrong, allowed = (np.abs(np.subtract(s.losses, exact.losses)).max() for s in (ours, torchs))
    assert wrong <= 2 * allowed + 4 * EPS * scale, ("loss", wrong, allowed)
    assert list(ours.arrays) == list(exact.arrays)
    for name, values in exact.arrays.items():
        wrong, allowed = (np.sqrt(np.mean((s.arrays[name] - values) ** 2)) for s in (ours, torchs))
        assert wrong <= 2 * allowed + 4 * EPS * np.abs(values).max(), (name, wrong, allowed)
