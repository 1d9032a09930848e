"""Pre-activation residual network of HeteroFL's CIFAR experiments, 64 to 512 channels.

He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, arXiv:1603.05027; in the form
of Diao, Ding, Tarokh, "HeteroFL", ICLR 2021, arXiv:2010.01264: 3x3 stem, four stages of basic blocks, the
shortcut of a block that changes width or side is a bare 1x1 convolution of the normalised input.

3x32x32, 10 classes: 9,622,090 parameters, 328,930,304 forward MACs. At HeteroFL's widths a to e, that is 1,
1/2, 1/4, 1/8 and 1/16 of the channels, parameters as published: 9,622,090, 2,408,746, 603,802, 151,762 and
38,350.

The paper calls it ResNet18 and its public code builds two blocks a stage (`blocks: [2, 2, 2, 2]`, 11,172,170
parameters); the parameter counts that it and its reproduction in Flower publish are those of one block in
each of the first three stages and two in the last, which is the default here.
Differs from the paper: convolutions start as He et al. 2015 have it (fan-out), the classifier's bias at 0
(our choice, as in our other networks).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input, init_he

WIDTHS = (64, 128, 256, 512)


class PreResNet(Model):
    """Pre-activation ResNet with HeteroFL's depths, for inputs of at least 4x4 pixels."""

    blocks: tuple[
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
        Annotated[int, Field(ge=1)],
    ] = Field((1, 1, 1, 2), description="blocks of the stages with 64, 128, 256 and 512 channels")

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=4)
        return PreActivationNet(channels, n_outputs, self.blocks)


class PreActivationBlock(nn.Module):
    """Norm, ReLU and 3x3 convolution, twice, added to the block's input."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module | None = None
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns (n, n_out, ceil(H / stride), ceil(W / stride))."""
        active = self.relu(self.bn1(x))
        skip = x if self.shortcut is None else self.shortcut(active)
        result: torch.Tensor = self.conv2(self.relu(self.bn2(self.conv1(active)))) + skip
        return result


class PreActivationNet(nn.Module):
    """Stem, one stage for each entry of `blocks`, norm and ReLU, global average pooling, classifier."""

    def __init__(self, n_in: int, n_outputs: int, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, WIDTHS[0], 3, padding=1, bias=False)
        self.stages = nn.Sequential()
        before = WIDTHS[0]
        for stage, (width, n_blocks) in enumerate(zip(WIDTHS, blocks, strict=True)):
            first = PreActivationBlock(before, width, 1 if stage == 0 else 2)
            others = [PreActivationBlock(width, width, 1) for _ in range(n_blocks - 1)]
            self.stages.append(nn.Sequential(first, *others))
            before = width
        self.stage_ends = tuple(f"stages.{number}" for number in range(len(blocks) - 1))
        self.exits_need_norm = True
        self.bn = nn.BatchNorm2d(before)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(before, n_outputs)
        init_he(self)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (n, n_in, H, W); returns logits (n, n_outputs)."""
        out = self.pool(self.relu(self.bn(self.stages(self.conv(x)))))
        logits: torch.Tensor = self.linear(torch.flatten(out, 1))
        return logits
