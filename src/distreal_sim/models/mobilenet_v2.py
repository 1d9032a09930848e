"""MobileNetV2 in its CIFAR form: seventeen inverted residual blocks with depthwise convolutions.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv:1801.04381; in the CIFAR form that CoCoFL and much public PyTorch code use.

3x32x32: 2,296,922 parameters and 91,154,944 forward MACs with 10 classes, 2,412,212 and 91,270,144 with 100.
Initialisation: torch's default.
Differs from the paper, all as in that CIFAR form: stem and second stage have stride 1; ReLU, not ReLU6; a
block of stride 1 that changes its width has a skip too, a 1x1 convolution with batch norm; a block of
expansion 1 keeps its 1x1 expansion.
"""

from __future__ import annotations

import torch
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input

# (expansion, channels, blocks, stride of the first block)
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(Model):
    """MobileNetV2 for small images of at least 8x8 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 8."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=8)
        return InvertedResidualNet(channels, n_outputs)


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, 1x1 projection without activation; a skip at stride 1."""

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        n_mid = expansion * n_in
        self.expand = nn.Sequential(nn.Conv2d(n_in, n_mid, 1, bias=False), nn.BatchNorm2d(n_mid), nn.ReLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(n_mid, n_mid, 3, stride=stride, padding=1, groups=n_mid, bias=False),
            nn.BatchNorm2d(n_mid),
            nn.ReLU(),
        )
        self.project = nn.Sequential(nn.Conv2d(n_mid, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.shortcut = nn.Identity()
            if n_in != n_out:
                self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns (n, n_out, ceil(H / stride), ceil(W / stride))."""
        out: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return out if self.shortcut is None else out + self.shortcut(x)


class InvertedResidualNet(nn.Module):
    """Stem, stages, 1x1 convolution to 1280 channels, global average pooling, classifier."""

    def __init__(self, n_in: int, n_outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(n_in, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.blocks = nn.Sequential()
        width = 32
        for expansion, n_out, n_blocks, stride in _STAGES:
            for block in range(n_blocks):
                self.blocks.append(InvertedResidual(width, n_out, expansion, stride if block == 0 else 1))
                width = n_out
        self.head = nn.Sequential(nn.Conv2d(width, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(1280, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns logits (n, n_outputs)."""
        out = self.pool(self.head(self.blocks(self.stem(x))))
        logits: torch.Tensor = self.linear(torch.flatten(out, 1))
        return logits
