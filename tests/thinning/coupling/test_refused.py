"""Networks that would go wrong without a word are refused, or left whole in part, for the true reason."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from thinning.coupling.said import left_whole, refusal
from torch import Tensor, nn

from distreal_sim.thinning.coupling.groups import find_groups


class Net(nn.Module):
    """A convolution `a`, then run(self, a(x), x), then a linear layer."""

    def __init__(self, run: Callable[[Any, Tensor, Tensor], Tensor], n: int = 8, **parts: Any) -> None:
        super().__init__()
        self.run, self.a, self.fc = run, nn.Conv2d(3, 8, 3, padding=1), nn.Linear(n, 4)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        y = self.run(self, self.a(x), x)
        return self.fc(y.mean((2, 3)) if y.dim() == 4 else y)


class Skip(nn.Module):
    """Blocks that `skips(self)` leaves out."""

    def __init__(self, skips: Callable[[Any], bool]) -> None:
        super().__init__()
        self.stem, self.skips, self.n = nn.Conv2d(3, 8, 1), skips, 0
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(3))
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if not self.skips(self):
                x = x + block(x)
        return self.fc(x.mean((2, 3)))


@torch.jit.script
def tempered(x: Tensor) -> Tensor:
    return x / 0.7


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return tempered(self.fc(F.relu(self.c(x)).mean((2, 3))))


def pooled(y: Tensor) -> Tensor:
    return y.mean((2, 3))


def counted(m: Any, y: Tensor, x: Tensor) -> Tensor:
    m.count += 1
    return y


def averaged(m: Any, y: Tensor, x: Tensor) -> Tensor:
    m.bn.average.mul_(0.9).add_(0.1 * x.mean())
    return y * m.bn.average


def clipped(m: Any, y: Tensor, x: Tensor) -> Tensor:
    m.a.weight.data.clamp_(-0.1, 0.1)
    return y


def first_zero(m: Any, y: Tensor, x: Tensor) -> Tensor:
    y = y.clone()
    y[:, 0] = 0
    return y


def into_zeros(m: Any, y: Tensor, x: Tensor) -> Tensor:
    out = torch.zeros(len(y), 16, 8, 8, dtype=y.dtype)
    out[:, :8] = y
    return out


class WithBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.ones(()))


def listed() -> nn.Module:
    net = Net(lambda m, y, x: F.conv2d(y, m.known[0]), b=nn.Conv2d(8, 8, 1, bias=False))
    net.known = [net.b.weight]
    return net


WHOLE = [
    # operations that read weights, and what they cost
    (Net(lambda m, y, x: y + m.r(x.mean(2).transpose(1, 2))[1][0].mean(),
         r=nn.LSTM(3, 5, batch_first=True, proj_size=2)), r"module 'r' \(LSTM\) .*projection"),
    (Net(lambda m, y, x: y + m.r(x.mean((2, 3)), torch.ones(len(x), 5, dtype=x.dtype)).mean(),
         r=nn.GRUCell(3, 5)),
     "fixes the width at 5 channels"),
    (Net(lambda m, y, x: y + (x.flatten(2) @ x.flatten(2).mT).mean()), "product of two activations"),
    (Net(lambda m, y, x: F.conv2d(y, m.w / m.w.norm()), w=nn.Parameter(torch.randn(8, 8, 1, 1))),
     "its weight is computed"),
    # code that cannot be watched
    (Scripted(), r"the model \(Scripted\) .*cannot be watched \(torch.jit.script"),
    (Net(lambda m, y, x: tempered(y)), "cannot be watched"),
    # channels written, pooled, padded, squeezed
    (Net(first_zero), "writes some channels by number"),
    (Net(into_zeros, 16), "writes channels into a tensor made in its code"),
    (Net(lambda m, y, x: F.max_pool1d(pooled(y), 3, 1, 1)), "pools a tensor of 2 axes over 1"),
    (Net(lambda m, y, x: F.avg_pool2d(y.flatten(2), 3, 1, 1).mean(2)), "pools a tensor of 3 axes over 2"),
    (Net(lambda m, y, x: F.pad(y, (0, 0, 0, 0, 1, -1))), "pads the axis of channels"),
    (Net(lambda m, y, x: F.pad(pooled(y), (1, -1))), "pads the axis of channels"),
    (Net(lambda m, y, x: F.adaptive_avg_pool2d(y, 1).squeeze()),
     r"'squeeze' gives shape \(2,\) .*\(2, 1\); name"),
    (Net(lambda m, y, x: pooled(y)[:, :, None].squeeze()), "'squeeze' gives shape"),
    # the width read from a shape
    (Net(lambda m, y, x: pooled(y) / math.sqrt(y.shape[1])),
     "gives other values .*reads the width from a shape"),
    (Net(lambda m, y, x: y * (100 / y.numel())), "reads the width from a shape"),
    (Net(lambda m, y, x: F.relu(y) if y.shape[1] > 5 else y), "takes another path"),
]  # fmt: skip

REFUSED = [
    (listed(), "keeps 'b.weight' in a plain Python list"),
    (Net(lambda m, y, x: y * m.w[0], w=[nn.Parameter(torch.ones(8, 1, 1))]),
     "a parameter that no module of it"),
    # state
    (Net(averaged, bn=WithBuffer()), r"module 'bn' \(WithBuffer\) .*changes its buffer 'average'"),
    (Net(counted, count=0), "changes its attribute 'count'"),
    (Net(clipped), r"module 'a' \(Conv2d\).*changes its parameter 'weight'"),
    (Net(lambda m, y, x: y * random.random()), "draws from the global generator of random"),
    (Net(lambda m, y, x: y * float(np.random.rand())), "draws from the global generator of numpy.random"),
    # paths
    *[(Skip(skips), r"module 'blocks.[012]' \(Conv2d\) cannot be simulated: not every training pass runs it")
      for skips in (lambda m: m.training and torch.rand(()).item() < 0.01,
                    lambda m: m.training and bool(torch.rand(1) > 0.99),
                    lambda m: m.training and bool(torch.bernoulli(torch.tensor(0.02))))],
    (Net(lambda m, y, x: m.b(y) if x.max() > 0.5 else y, b=nn.Conv2d(8, 8, 1)),
     r"module 'b' .*not every training"),
    *[(Net(run, b=nn.Conv2d(8, 8, 1)), r"module 'b' .*not every training")
      for run in (lambda m, y, x: m.b(y) if y.sum() > 1e4 else y,
                  lambda m, y, x: m.b(y) if y.sum().item() > 1e4 else y)],
    (Net(lambda m, y, x: y if m.training else m.b(y), b=nn.Conv2d(8, 8, 1)),
     r"module 'b' .*evaluation runs it"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "message"), WHOLE)
def test_left_whole(module: nn.Module, message: str) -> None:
    """The rest of the network is right in numbers and costs."""
    assert re.search(message, left_whole(module, torch.zeros(2, 3, 8, 8)))


@pytest.mark.parametrize(("module", "message"), REFUSED)
def test_refused(module: nn.Module, message: str) -> None:
    assert re.search(message, refusal(module, torch.zeros(2, 3, 8, 8)))


@pytest.mark.parametrize(
    "module",
    [
        Net(lambda m, y, x: m.b(y), b=nn.BatchNorm2d(8)),
        Net(lambda m, y, x: y if not m.training else y * torch.rand(len(y), 1, 1, 1)),
        Net(lambda m, y, x: F.dropout(y, 0.5, m.training)),
    ],
)
def test_not_refused(module: nn.Module) -> None:
    """Statistics of a norm, noise for each example, and dropout are no reason."""
    assert len(find_groups(module, torch.zeros(2, 3, 8, 8)).groups) == 1
