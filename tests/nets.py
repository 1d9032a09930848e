"""Small networks of every kind of coupling, for inputs of at least 4x4 pixels; models by dotted path."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TinyChain(nn.Module):
    """Two convolutions with bias, flattened into a hidden linear layer."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(shape[0], 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        side = (shape[1] // 2) * (shape[2] // 2)
        self.hidden, self.out = nn.Linear(6 * side, 7), nn.Linear(7, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.out(F.relu(self.hidden(x.flatten(1))))


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)
        self.short = nn.Conv2d(n_in, n_out, 1, stride, bias=False) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.short(x))


class TinyResNet(nn.Module):
    """An identity skip in a stage of 6 channels, a projected one into a stage of 8."""

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        self.stem, self.stem_bn = nn.Conv2d(in_channels, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.block1, self.block2 = _Block(6, 6, 1), _Block(6, 8, 2)
        self.out = nn.Linear(8, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.block1(F.relu(self.stem_bn(self.stem(x)))))
        return self.out(x.mean((2, 3)))


class TinyDenseNet(nn.Module):
    """Two layers that each add 4 channels behind what they read, and a transition."""

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 6, 3, padding=1, bias=False)
        self.bn1, self.conv1 = nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(10), nn.Conv2d(10, 4, 3, padding=1, bias=False)
        self.bn3, self.transition = nn.BatchNorm2d(14), nn.Conv2d(14, 7, 1, bias=False)
        self.out = nn.Linear(7, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv1(F.relu(self.bn1(x)))], 1)
        x = torch.cat([x, self.conv2(F.relu(self.bn2(x)))], 1)
        return self.out(self.transition(F.relu(self.bn3(x))).mean((2, 3)))


class TinyMobileNet(nn.Module):
    """An inverted residual: expansion, depthwise convolution, projection, identity skip."""

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(in_channels, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.expand, self.bn1 = nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.depthwise, self.bn2 = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.project, self.bn3 = nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.out = nn.Linear(4, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn(self.stem(x)))
        y = F.relu6(self.bn2(self.depthwise(F.relu6(self.bn1(self.expand(x))))))
        return self.out((x + self.bn3(self.project(y))).mean((2, 3)))


class NormFirst(nn.Module):
    """Two convolutions, of which the norm of the second is listed before it."""

    def __init__(self, in_channels: int, n_classes: int) -> None:
        super().__init__()
        self.conv1, self.norm, self.conv2 = (
            nn.Conv2d(in_channels, 5, 3),
            nn.BatchNorm2d(6),
            nn.Conv2d(5, 6, 1),
        )
        self.out = nn.Linear(6, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.norm(self.conv2(F.relu(self.conv1(x))))).mean((2, 3)))


class EvenChain(nn.Sequential):
    """Three stages of layers that are alike but for the first: one and one more, one, and one."""

    def __init__(self, in_channels: int, n_classes: int) -> None:
        first, *others = (nn.Conv2d(n_in, 4, 3, padding=1) for n_in in (in_channels, 4, 4, 4))
        super().__init__(
            first, nn.ReLU(), others[0], nn.ReLU(), nn.MaxPool2d(2),
            others[1], nn.ReLU(), nn.MaxPool2d(2),
            others[2], nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n_classes),
        )  # fmt: skip


class Whimsical(nn.Module):
    """Draws from Python's, numpy's and torch's global generators, when it is made and in every pass."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.hidden, self.linear = nn.Linear(shape[1] * shape[2], 6), nn.Linear(6, n_classes)
        with torch.no_grad():
            self.hidden.bias.fill_(random.random())
            self.linear.bias.fill_(np.random.rand())

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.hidden(x.flatten(1)))
        x = x * (1 + 0.3 * random.random()) * float(1 + 0.3 * np.random.rand())
        return self.linear(x * (1 + 0.3 * torch.rand(()).item()))


class Averaging(nn.Module):
    """Divides by a running average of its inputs' squares, in a buffer."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.hidden, self.linear = nn.Linear(shape[1] * shape[2], 6), nn.Linear(6, n_classes)
        self.register_buffer("average", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        self.average.mul_(0.9).add_(0.1 * x.square().mean())
        return self.linear(F.relu(self.hidden(x.flatten(1)))) / (0.5 + self.average.item())


class Counting(Averaging):
    """Counts its passes, in an attribute, and scales its outputs down with them."""

    def forward(self, x: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return self.linear(F.relu(self.hidden(x.flatten(1)))) / self.calls
