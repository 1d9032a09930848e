"""Residual networks for small images: a 3x3 stem, stages of basic blocks, global average pooling.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.
"""

from __future__ import annotations

import torch
from torch import nn

from distreal_sim.models._layers import init_he


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the block's input.

    Where the block changes width or side, the skip is a 1x1 convolution with batch norm (option B).
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns (n, n_out, ceil(H / stride), ceil(W / stride))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        result: torch.Tensor = self.relu(out + self.shortcut(x))
        return result


class ResNet(nn.Module):
    """One stage per entry of `widths`, each of `n_blocks` basic blocks; all but the first halve the side.

    Initialisation: He et al. 2015 (fan-out) for convolutions, zero bias for the classifier.
    """

    def __init__(self, n_in: int, n_outputs: int, widths: tuple[int, ...], n_blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, widths[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.stages = nn.Sequential()
        before = widths[0]
        for stage, width in enumerate(widths):
            stride = 1 if stage == 0 else 2
            blocks = [BasicBlock(before, width, stride)]
            blocks += [BasicBlock(width, width, 1) for _ in range(n_blocks - 1)]
            self.stages.append(nn.Sequential(*blocks))
            before = width
        self.stage_ends = tuple(f"stages.{number}" for number in range(len(widths) - 1))
        self.exits_need_norm = False
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(before, n_outputs)
        init_he(self)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns logits (n, n_outputs)."""
        out = self.relu(self.bn(self.conv(x)))
        out = self.pool(self.stages(out))
        logits: torch.Tensor = self.linear(torch.flatten(out, 1))
        return logits
