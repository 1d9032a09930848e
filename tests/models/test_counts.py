"""Parameters and forward MACs of the networks, against published and derived counts."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest
import torch
from bundled import Inputs
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.base.plugins import load, names
from distreal_sim.models import Model
from distreal_sim.thinning.cost import forward_macs
from distreal_sim.thinning.coupling.groups import find_groups

GREY_8, GREY_28, RGB_32 = (1, 8, 8), (1, 28, 28), (3, 32, 32)

# (input, classes, parameters, forward MACs in millions, to three decimals)
# small_cnn, vit, text_transformer, char_lstm: derived in their docstrings. The rest: arithmetic on the
# published layers; these parameter counts are also in public codes and papers for femnist_cnn, vgg11,
# resnet18, densenet100_bc, mobilenet_v2, pfl_cnn, logistic, heterofl_cnn and preresnet
# (test_heterofl_levels.py has those of their sub-models). Texts have as many tokens as classes.
TABLE: dict[str, list[tuple[tuple[int, ...], int, int, float]]] = {
    "small_cnn": [
        (GREY_8, 10, 24_058, 0.157),
        (GREY_28, 10, 24_058, 1.920),
        (RGB_32, 10, 24_346, 2.802),
    ],
    "femnist_cnn": [(GREY_28, 62, 6_603_710, 17.212)],
    "cnn_cifar": [(RGB_32, 10, 1_756_426, 32.778)],
    "vgg11": [(RGB_32, 10, 9_750_922, 153.294)],
    "resnet20": [(RGB_32, 10, 272_474, 40.813)],
    "resnet18": [(RGB_32, 10, 11_173_962, 555.423), (RGB_32, 100, 11_220_132, 555.469)],
    "densenet40_bc": [(RGB_32, 10, 176_122, 72.365), (RGB_32, 100, 188_092, 72.377)],
    "densenet100_bc": [(RGB_32, 10, 769_162, 287.930), (RGB_32, 100, 800_032, 287.960)],
    "heterofl_cnn": [(GREY_28, 10, 1_556_874, 39.975)],
    "preresnet": [(RGB_32, 10, 9_622_090, 328.930)],
    "vit": [(RGB_32, 10, 207_178, 14.877)],
    "char_lstm": [((80,), 80, 819_920, 65.208)],
    "text_transformer": [((80,), 80, 822_608, 70.287)],
    "fcn1d": [((9, 128), 6, 272_006, 34.587)],
    "mlp": [(GREY_28, 10, 199_210, 0.199)],
    "logistic": [(GREY_28, 10, 7_850, 0.008)],
    "pfl_cnn": [(RGB_32, 10, 1_626_442, 16.835)],
    "mobilenet_v2": [(RGB_32, 10, 2_296_922, 91.155), (RGB_32, 100, 2_412_212, 91.270)],
}
DEEPEST = ("densenet100_bc", "densenet40_bc", "mobilenet_v2", "preresnet", "resnet18", "vgg11")

ROWS = [
    pytest.param(name, *row, marks=[pytest.mark.slow] if place or name in DEEPEST else [])
    for name, rows in TABLE.items()
    for place, row in enumerate(rows)
]
"""One of each network; further inputs and numbers of classes, and the deepest, in the slow tests."""


def has_other_products(net: nn.Module) -> bool:
    """Whether convolutions and linear layers are not all that multiplies."""
    return any(type(m).__name__ in ("Attention", "LSTM") for m in net.modules())


def macs_by_counter(net: nn.Module, shape: tuple[int, ...], vocabulary: int | None) -> int:
    """Multiply-adds of one example by torch's counter, in float64 and with attention as matrix products."""
    x = Inputs("", shape, vocabulary).examples(1, torch.float64)
    net = copy.deepcopy(net).double()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops, torch.no_grad():
        net(x)
    assert flops.get_total_flops() % 2 == 0
    return flops.get_total_flops() // 2


def macs_by_hooks(net: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions and linear layers for one example, from each layer's own sizes."""
    total = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        per_output = layer.weight[0].numel()  # (C_in / groups) * k * k, or the inputs of a linear layer
        total += output[0].numel() * per_output

    hooks = [
        m.register_forward_hook(count)
        for m in net.modules()
        if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        net(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total


def n_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_every_model_has_a_row() -> None:
    """A new network must state its counts here."""
    assert set(TABLE) == set(names(Model))


@pytest.mark.parametrize(("name", "shape", "n_classes", "n_params", "millions"), ROWS)
def test_counts_equal_the_table(
    name: str, shape: tuple[int, ...], n_classes: int, n_params: int, millions: float
) -> None:
    """The counters agree exactly and round to the table; the module's docstring states the same counts."""
    vocabulary = n_classes if shape == (80,) else None
    net = load(Model, name)().build(shape, n_classes, vocabulary).eval()
    assert n_parameters(net) == n_params

    macs = macs_by_counter(net, shape, vocabulary)
    assert abs(macs / 1e6 - millions) <= 0.0005
    if not has_other_products(net):
        assert macs_by_hooks(net, shape) == macs
    structure = find_groups(net, Inputs("", shape, vocabulary).examples(2))
    assert forward_macs(structure, structure.full_counts()) == macs

    text = importlib.import_module(f"{Model.package}.{name}").__doc__ or ""
    assert f"{n_params:,}" in text
    assert f"{macs:,}" in text


@pytest.mark.parametrize(
    ("name", "shape", "n_classes", "n_params"),
    [
        ("femnist_cnn", GREY_28, 62, 6_603_710 + 32 + 64 + 2048),
        ("cnn_cifar", RGB_32, 10, 1_756_426 + 64 + 64 + 384 + 192),
        ("vgg11", RGB_32, 10, 9_750_922 + 64 + 128 + 2 * 256 + 4 * 512 + 2 * 512),
    ],
)
def test_batch_norm_replaces_biases(name: str, shape: tuple[int, ...], n_classes: int, n_params: int) -> None:
    """Each hidden channel loses its bias and gets a scale and a shift: one parameter more, no MAC more."""
    model = load(Model, name)
    with_norm = model.model_validate({"norm": "batch"}).build(shape, n_classes).eval()
    assert n_parameters(with_norm) == n_params
    assert macs_by_hooks(with_norm, shape) == macs_by_hooks(model().build(shape, n_classes), shape)


def test_small_cnn_width() -> None:
    """Width w, 1x8x8, 3 classes, at w = 5, by hand.

    Weights 9*5 + 9*5*10 + 9*10*20 = 2,295; norms 2 * 35 = 70; classifier 20*3 + 3 = 63: 2,428.
    MACs 45*64 + 450*16 + 1,800*4 + 60 = 17,340.
    """
    net = load(Model, "small_cnn").model_validate({"width": 5}).build(GREY_8, 3).eval()
    assert n_parameters(net) == 2_428
    assert macs_by_hooks(net, GREY_8) == 17_340
