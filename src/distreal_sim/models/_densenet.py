"""DenseNet-BC for small images: three blocks of densely connected bottleneck layers.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017,
arXiv:1608.06993.
"""

from __future__ import annotations

import torch
from torch import nn

from distreal_sim.models._layers import init_he


class Bottleneck(nn.Module):
    """BN-ReLU-1x1 convolution to 4 `growth` channels, BN-ReLU-3x3 convolution to `growth`, concatenation."""

    def __init__(self, n_in: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns (n, n_in + growth, H, W), the old channels first."""
        new = self.conv1(self.relu(self.bn1(x)))
        new = self.conv2(self.relu(self.bn2(new)))
        return torch.cat([x, new], 1)


class Transition(nn.Sequential):
    """BN-ReLU-1x1 convolution to `n_out` channels, then 2x2 average pooling."""

    def __init__(self, n_in: int, n_out: int) -> None:
        conv = nn.Conv2d(n_in, n_out, 1, bias=False)
        super().__init__(nn.BatchNorm2d(n_in), nn.ReLU(), conv, nn.AvgPool2d(2))


class DenseNetBC(nn.Module):
    """DenseNet-BC of `depth` = 6 n + 4 layers: three blocks of n bottlenecks, transitions halve the width.

    Initialisation: He et al. 2015 (fan-out) for convolutions, zero bias for the classifier.
    """

    def __init__(self, n_in: int, n_outputs: int, depth: int, growth: int) -> None:
        super().__init__()
        assert (depth - 4) % 6 == 0
        width = 2 * growth
        self.conv = nn.Conv2d(n_in, width, 3, padding=1, bias=False)
        self.blocks = nn.Sequential()
        for block in range(3):
            for _ in range((depth - 4) // 6):
                self.blocks.append(Bottleneck(width, growth))
                width += growth
            if block < 2:
                self.blocks.append(Transition(width, width // 2))
                width //= 2
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(width, n_outputs)
        init_he(self)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns logits (n, n_outputs)."""
        out = self.blocks(self.conv(x))
        out = self.pool(self.relu(self.bn(out)))
        logits: torch.Tensor = self.linear(torch.flatten(out, 1))
        return logits
