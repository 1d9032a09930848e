"""The FEMNIST network of LEAF: two 5x5 convolutions and a hidden layer of 2048 units.

Caldas, Duddu, Wu, Li, Konecny, McMahan, Smith, Talwalkar, "LEAF: A Benchmark for Federated Settings",
arXiv:1812.01097, 2018, and its public code.

1x28x28, 62 classes: 6,603,710 parameters, 17,211,904 forward MACs
(627,200 + 10,035,200 + 6,422,528 + 126,976).
Initialisation: TensorFlow's default, which LEAF's code relies on (Glorot uniform weights, zero biases).
Differs from the paper: `norm: batch` (ours, off by default) puts batch norm before every hidden ReLU.
"""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import Norm, check_input, conv_relu, linear_relu


class FemnistCnn(Model):
    """LEAF's CNN, for inputs of at least 4x4 pixels."""

    norm: Norm = Field(
        "none", description="batch: after every convolution and hidden linear layer, which then have no bias"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, height, width = check_input(self.name, shape, n_outputs, min_side=4)
        net = nn.Sequential(
            OrderedDict(
                conv1=conv_relu(channels, 32, 5, self.norm, nn.MaxPool2d(2)),
                conv2=conv_relu(32, 64, 5, self.norm, nn.MaxPool2d(2)),
                flatten=nn.Flatten(),
                fc1=linear_relu(64 * (height // 4) * (width // 4), 2048, self.norm),
                fc2=nn.Linear(2048, n_outputs),
            )
        )
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return net
