"""The blocks do what their papers say: skips, concatenation, pooling, initialisation; options change them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import nn

from distreal_sim.base.plugins import load
from distreal_sim.base.rng import Rngs
from distreal_sim.models import Model
from distreal_sim.models._densenet import Bottleneck
from distreal_sim.models._resnet import BasicBlock
from distreal_sim.models.mobilenet_v2 import InvertedResidual


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with Rngs(0).seeded_globals("init"):
        yield


def test_basic_block_without_residual_is_relu_of_its_input() -> None:
    block = BasicBlock(4, 4, stride=1)
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x.clamp(min=0))


def test_basic_block_projects_where_the_shape_changes() -> None:
    """The skip alone: relu(bn(1x1 convolution of every second pixel)), here with fresh running statistics."""
    block = BasicBlock(4, 6, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 4, 5, 5)
    weight = block.shortcut[0].weight[:, :, 0, 0]
    skip = torch.einsum("oc,nchw->nohw", weight, x[:, :, ::2, ::2]) / math.sqrt(1 + 1e-5)
    torch.testing.assert_close(block(x), skip.clamp(min=0), rtol=1e-5, atol=1e-6)


def test_bottleneck_puts_new_channels_behind_the_old() -> None:
    block = Bottleneck(5, growth=3)
    x = torch.randn(2, 5, 4, 4)
    out = block(x)
    assert out.shape == (2, 8, 4, 4)
    assert torch.equal(out[:, :5], x)


def test_inverted_residual_without_residual_is_its_input() -> None:
    """No activation after the projection (a linear bottleneck), so negative inputs pass too."""
    block = InvertedResidual(4, 4, expansion=6, stride=1)
    nn.init.zeros_(block.project[1].weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_inverted_residual_has_no_skip_where_the_side_changes() -> None:
    block = InvertedResidual(4, 4, expansion=6, stride=2)
    nn.init.zeros_(block.project[1].weight)
    assert torch.equal(block(torch.randn(2, 4, 5, 5)), torch.zeros(2, 4, 3, 3))


def test_cnn_cifar_pools_where_tensorflow_does() -> None:
    """SAME padding of an even side pads behind only: windows (0 1 2) (2 3 4) (4 5 6) (6 7)."""
    net = load(Model, "cnn_cifar")().build((1, 8, 8), 2)
    row = torch.arange(8.0).expand(1, 1, 8, 8)
    assert net.conv1.pool(row)[0, 0, 0].tolist() == [2, 4, 6, 7]


@pytest.mark.parametrize(
    "name", ["small_cnn", "cnn_cifar", "femnist_cnn", "pfl_cnn", "heterofl_cnn", "vgg11"]
)
def test_a_relu_behind_the_pooling_is_as_good_as_before_it(name: str) -> None:
    """Same outputs and gradients, to the bit, as with each max pooling and the ReLU behind it swapped."""
    torch.manual_seed(1)
    net = load(Model, name)().build((3, 32, 32), 10).eval()
    published = copy.deepcopy(net)
    n_swapped = 0
    for part in published.modules():
        for (first, pool), (second, relu) in pairwise(list(part.named_children())):
            if isinstance(pool, nn.MaxPool2d):
                assert isinstance(relu, nn.ReLU)
                part._modules[first], part._modules[second] = relu, pool
                n_swapped += 1
    assert n_swapped == sum(isinstance(part, nn.MaxPool2d) for part in net.modules()) > 0
    x, y = torch.randn(4, 3, 32, 32), torch.tensor([0, 3, 3, 9])
    outputs, gradients = [], []
    for candidate in (net, published):
        outputs.append(candidate(x))
        loss = nn.functional.cross_entropy(outputs[-1], y)
        gradients.append(torch.autograd.grad(loss, list(candidate.parameters())))
    assert torch.equal(*outputs)
    assert all(map(torch.equal, *gradients))


def test_cnn_cifar_initialisation() -> None:
    """A normal cut at two deviations keeps 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737 of its variance.

    fc1 has 4096 * 384 weights, so the sample deviation is within 0.1 % of it (3 sigma); 0.5 % is allowed.
    """
    net = load(Model, "cnn_cifar")().build((3, 32, 32), 10)
    weight = net.fc1.linear.weight
    assert weight.abs().max() <= 2 * 0.04
    assert weight.std().item() == pytest.approx(math.sqrt(0.7737) * 0.04, rel=5e-3)
    assert net.fc3.weight.abs().max() <= 2 / 192
    layers = [net.conv1.conv, net.conv2.conv, net.fc1.linear, net.fc2.linear, net.fc3]
    for layer, value in zip(layers, [0.0, 0.1, 0.1, 0.1, 0.0], strict=True):
        assert torch.equal(layer.bias, torch.full_like(layer.bias, value))


def test_femnist_cnn_initialisation() -> None:
    """Glorot: uniform up to sqrt(6 / (fan_in + fan_out)); fc1 has fans 3136 and 2048; biases 0."""
    net = load(Model, "femnist_cnn")().build((1, 28, 28), 62)
    bound = math.sqrt(6 / (3136 + 2048))
    assert 0.999 * bound < net.fc1.linear.weight.abs().max().item() <= bound * (1 + 1e-6)
    assert not any(parameter.any() for key, parameter in net.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize(("name", "path"), [("vgg11", "conv5_2.conv"), ("resnet18", "stages.3.1.conv2")])
def test_he_initialisation(name: str, path: str) -> None:
    """N(0, 2 / (9 * 512)): 2.4 million weights, so the sample deviation is within 0.2 % (4 sigma)."""
    net = load(Model, name)().build((3, 32, 32), 10)
    assert net.get_submodule(path).weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=2e-3)


def test_vgg11_unit_dropout() -> None:
    """Two dropout layers of the given rate, none at rate 0; the parameters have the same names either way."""
    model = load(Model, "vgg11")
    without, with_it = (
        model.model_validate({"unit_dropout": rate}).build((3, 32, 32), 10) for rate in (0.0, 0.25)
    )
    assert [m.p for m in with_it.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.25]
    assert not any(isinstance(m, nn.Dropout) for m in without.modules())
    assert list(without.state_dict()) == list(with_it.state_dict())
