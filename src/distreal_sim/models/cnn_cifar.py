"""The CIFAR-10 network of the first federated averaging paper: two 5x5 convolutions and two hidden layers.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, arXiv:1602.05629; they took it from TensorFlow's CIFAR-10 tutorial.

3x32x32, 10 classes: 1,756,426 parameters, 32,778,112 forward MACs
(4,915,200 + 26,214,400 + 1,572,864 + 73,728 + 1,920).
Initialisation: the tutorial's, truncated normals of fixed width, some biases 0.1 so that ReLUs start alive.
Differs from the paper: whole 32x32 images rather than 24x24 crops, no local response normalisation;
`norm: batch` (ours, off by default) puts batch norm before every hidden ReLU.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import Norm, check_input, conv_relu, linear_relu

# (layer, standard deviation of its weights before truncation at two of them, value of its biases)
_TUTORIAL_INIT = (
    ("conv1.conv", 0.05, 0.0),
    ("conv2.conv", 0.05, 0.1),
    ("fc1.linear", 0.04, 0.1),
    ("fc2.linear", 0.04, 0.1),
    ("fc3", 1 / 192, 0.0),
)


class CnnCifar(Model):
    """McMahan's CIFAR network, for inputs of at least 4x4 pixels."""

    norm: Norm = Field(
        "none", description="batch: after every convolution and hidden linear layer, which then have no bias"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, height, width = check_input(self.name, shape, n_outputs, min_side=4)
        n_pixels = _pooled(_pooled(height)) * _pooled(_pooled(width))
        net = nn.Sequential(
            OrderedDict(
                conv1=conv_relu(channels, 64, 5, self.norm, nn.MaxPool2d(3, stride=2, ceil_mode=True)),
                conv2=conv_relu(64, 64, 5, self.norm, nn.MaxPool2d(3, stride=2, ceil_mode=True)),
                flatten=nn.Flatten(),
                fc1=linear_relu(64 * n_pixels, 384, self.norm),
                fc2=linear_relu(384, 192, self.norm),
                fc3=nn.Linear(192, n_outputs),
            )
        )
        for path, std, bias in _TUTORIAL_INIT:
            layer = net.get_submodule(path)
            assert isinstance(layer, (nn.Conv2d, nn.Linear))
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)
        return net


def _pooled(side: int) -> int:
    """Side after a 3x3 pool of stride 2; on even sides ceil_mode puts its windows where TensorFlow does."""
    return math.ceil((side - 3) / 2) + 1
