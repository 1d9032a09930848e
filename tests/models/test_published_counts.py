"""Parameters and MACs of networks that comparison papers publish, from the engine's closed forms.

The bundled networks are in test_counts.py and test_heterofl_levels.py. These others are described in one line
each, so that the counters are held to numbers that somebody else has counted too: parameter counts are those
of papers and public codes; forward MACs are arithmetic on the layers (convolutions and linear layers only).
"""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import nn
from variants import by_default

from distreal_sim.base.plugins import load
from distreal_sim.models import Model
from distreal_sim.models._resnet import ResNet
from distreal_sim.thinning.cost import forward_macs, n_parameters
from distreal_sim.thinning.coupling.groups import find_groups

GREY_28, RGB_24, RGB_32 = (1, 28, 28), (3, 24, 24), (3, 32, 32)


def chain(description: str, shape: tuple[int, ...]) -> nn.Sequential:
    """`c5x32` a convolution that keeps the side, `v5x32` one without padding, `b` batch norm, `p` a 2x2 max
    pool, `g` global average pooling, `f512` a linear layer. ReLU behind every convolution and every linear
    layer but the last; convolutions before batch norm have a bias, too.
    """
    layers: list[nn.Module] = []
    words = description.split()
    for number, word in enumerate(words):
        width = torch.zeros(2, *shape)
        with torch.no_grad():
            for layer in layers:
                width = layer.eval()(width)
        n_in = width.shape[1]
        if word[0] in "cv":
            kernel, n_out = map(int, word[1:].split("x"))
            layers += [nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2 if word[0] == "c" else 0)]
            layers += [] if words[number + 1] == "b" else [nn.ReLU()]
        elif word == "b":
            layers += [nn.BatchNorm2d(n_in), nn.ReLU()]
        elif word == "p":
            layers.append(nn.MaxPool2d(2))
        elif word == "g":
            layers.append(nn.AdaptiveAvgPool2d(1))
        else:
            layers += [nn.Flatten()] if width.dim() > 2 else []
            layers.append(nn.Linear(math.prod(width.shape[1:]), int(word[1:])))
            layers += [nn.ReLU()] if number < len(words) - 1 else []
    return nn.Sequential(*layers)


CHAINS: dict[str, tuple[str, tuple[int, ...], int, float]] = {
    "McMahan MNIST": ("c5x32 p c5x64 p f512 f10", GREY_28, 1_663_370, 12.273),
    "McMahan MNIST, 62 classes": ("c5x32 p c5x64 p f512 f62", GREY_28, 1_690_046, 12.300),
    "TFF EMNIST": ("v3x32 v3x64 p f128 f62", GREY_28, 1_206_590, 11.999),
    "CNNCifar": ("v5x6 p v5x16 p f120 f84 f10", RGB_32, 62_006, 0.652),
    "LG-FedAvg": ("v5x6 p v5x16 p f120 f100 f10", RGB_32, 64_102, 0.654),
    "VGG-9": (
        "c3x32 c3x64 p c3x128 c3x128 p c3x256 c3x256 p f512 f512 f10",
        RGB_32,
        3_491_530,
        135.370,
    ),
    "VGG-11, one linear layer": (
        "c3x64 p c3x128 p c3x256 c3x256 p c3x512 c3x512 p c3x512 c3x512 p f10",
        RGB_32,
        9_225_610,
        152.770,
    ),
    "VGG-11 with batch norm": (
        "c3x64 b p c3x128 b p c3x256 b c3x256 b p c3x512 b c3x512 b p c3x512 b c3x512 b p f10",
        RGB_32,
        9_231_114,
        152.770,
    ),
}


@pytest.mark.parametrize("name", by_default(CHAINS, [*CHAINS][::2]))
def test_chains(name: str) -> None:
    description, shape, parameters, millions = CHAINS[name]
    check(chain(description, shape), shape, parameters, millions)


def check(module: nn.Module, shape: tuple[int, ...], parameters: int, millions: float) -> None:
    structure = find_groups(module, torch.zeros(2, *shape))
    full = structure.full_counts()
    assert n_parameters(structure, full) == parameters
    assert abs(forward_macs(structure, full) / 1e6 - millions) <= 0.0005


def test_mcmahan_cifar_on_crops() -> None:
    check(load(Model, "cnn_cifar")().build(RGB_24, 10), RGB_24, 1_068_298, 18.471)


def test_fjord_widths_of_resnet18() -> None:
    """ceil(p K) of 64 to 512 channels; the MACs are the 23, 91, 203, 360 and 555 M of the paper."""
    module = load(Model, "resnet18")().build(RGB_32, 10)
    structure = find_groups(module, torch.zeros(2, *RGB_32))
    table = [
        (457_578, 23.106),
        (1_803_314, 91.086),
        (4_049_352, 202.961),
        (7_175_586, 360.363),
        (11_173_962, 555.423),
    ]
    for fifths, (parameters, millions) in enumerate(table, 1):
        counts = tuple(math.ceil(Fraction(fifths, 5) * g.channels) for g in structure.groups)
        assert n_parameters(structure, counts) == parameters
        assert abs(forward_macs(structure, counts) / 1e6 - millions) <= 0.0005


def test_resnet20_of_successive_layer_training() -> None:
    """3x3 skips with batch norm and a 4x4 average pool, so 256 features, at widths 1, 1/2, 1/4 and 1/8."""
    module = ResNet(3, 10, widths=(16, 32, 64), n_blocks=3)
    for stage, (n_in, n_out) in ((1, (16, 32)), (2, (32, 64))):
        block = module.stages.get_submodule(f"{stage}.0")
        skip = nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False)
        setattr(block, "shortcut", nn.Sequential(skip, nn.BatchNorm2d(n_out)))  # noqa: B010  (typed as Module)
    module.pool = nn.AdaptiveAvgPool2d(2)
    module.linear = nn.Linear(256, 10)
    structure = find_groups(module, torch.zeros(2, *RGB_32))
    table = [(294_874, 42.912), (74_866, 10.839), (19_294, 2.765), (5_116, 0.719)]
    for k, (parameters, millions) in enumerate(table):
        counts = tuple(g.channels >> k for g in structure.groups)
        assert n_parameters(structure, counts) == parameters
        assert abs(forward_macs(structure, counts) / 1e6 - millions) <= 0.0005


@pytest.mark.parametrize(
    ("depth", "parameters", "millions"),
    [
        (20, 269_722, 40.551),
        (32, 464_154, 68.863),
        pytest.param(44, 658_586, 97.174, marks=pytest.mark.slow),
        pytest.param(56, 853_018, 125.486, marks=pytest.mark.slow),
        pytest.param(110, 1_727_962, 252.888, marks=pytest.mark.slow),
    ],
)
def test_resnets_with_skips_without_parameters(depth: int, parameters: int, millions: float) -> None:
    """He et al. round these to 0.27, 0.46, 0.66, 0.85 and 1.7 M.

    Here two skips are 1x1 convolutions with norms, which have 512 + 64 and 2048 + 128 parameters more and
    512 * 16 * 16 + 2048 * 8 * 8 = 262,144 MACs.
    """
    module = ResNet(3, 10, widths=(16, 32, 64), n_blocks=(depth - 2) // 6)
    check(module, RGB_32, parameters + 2_752, millions + 0.262144)


class InvertedResidual(nn.Module):
    """Expansion, depthwise 3x3, projection; an identity skip where shape and side stay."""

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = expansion * n_in
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(n_in, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        layers += [nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width)]
        layers += [nn.ReLU6(), nn.Conv2d(width, n_out, 1, bias=False), nn.BatchNorm2d(n_out)]
        self.layers, self.skips = nn.Sequential(*layers), stride == 1 and n_in == n_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return x + out if self.skips else out


@pytest.mark.slow
def test_mobilenet_v2_of_imagenet() -> None:
    """Sandler et al. 2018, table 2: (expansion, channels, blocks, stride of the first)."""
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
    table += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
    width = 32
    for expansion, n_out, n_blocks, stride in table:
        for number in range(n_blocks):
            layers.append(InvertedResidual(width, n_out, expansion, 1 if number else stride))
            width = n_out
    layers += [nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    check(nn.Sequential(*layers), (3, 224, 224), 3_504_872, 300.774)


class PlainDenseNet(nn.Module):
    """DenseNet without bottlenecks: a stem, three blocks of 3x3 convolutions to 12 channels, transitions that
    keep the share `theta` of the channels.
    """

    def __init__(self, depth: int, stem: int, theta: float, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape[0], stem, 3, padding=1, bias=False)
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        width = stem
        for block in range(3):
            layers = []
            for _ in range((depth - 4) // 3):
                conv = nn.Conv2d(width, 12, 3, padding=1, bias=False)
                layers.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv))
                width += 12
            self.blocks.append(nn.ModuleList(layers))
            if block < 2:
                n_out = int(theta * width)
                conv = nn.Conv2d(width, n_out, 1, bias=False)
                self.transitions.append(
                    nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv, nn.AvgPool2d(2))
                )
                width = n_out
        self.end = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, n_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for number, block in enumerate(self.blocks):
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                x = torch.cat([x, layer(x)], 1)
            if number < 2:
                x = self.transitions[number](x)
        logits: torch.Tensor = self.end(x)
        return logits


@pytest.mark.parametrize(
    ("depth", "stem", "theta", "shape", "n_classes", "parameters", "millions"),
    [
        (40, 16, 1.0, RGB_32, 10, 1_019_722, 264.813),
        pytest.param(40, 16, 1.0, RGB_32, 100, 1_060_132, 264.853, marks=pytest.mark.slow),
        pytest.param(40, 16, 1.0, GREY_28, 62, 1_042_782, 202.546, marks=pytest.mark.slow),
        pytest.param(40, 24, 0.5, RGB_32, 10, 599_050, 205.906, marks=pytest.mark.slow),
        pytest.param(100, 16, 1.0, RGB_32, 10, 6_979_642, 1_769.516, marks=pytest.mark.slow),
        pytest.param(100, 16, 1.0, RGB_32, 100, 7_084_852, 1_769.622, marks=pytest.mark.slow),
        pytest.param(100, 24, 0.5, RGB_32, 10, 4_068_490, 1_324.549, marks=pytest.mark.slow),
    ],
)
def test_densenets_without_bottlenecks(
    depth: int,
    stem: int,
    theta: float,
    shape: tuple[int, ...],
    n_classes: int,
    parameters: int,
    millions: float,
) -> None:
    """By who says it, DenseNet-40 with k = 12 has 1.02 M, 0.60 M or (densenet40_bc) 0.18 M parameters."""
    check(PlainDenseNet(depth, stem, theta, shape, n_classes), shape, parameters, millions)
