"""The CIFAR-10 network of pfl's benchmarks: two 3x3 convolutions without padding, and a hidden layer of 128.

Granqvist, Song, Cahill, van Dalen, Pelikan, Chan, Feng, Krishnaswami, Jina, Chitnis, "pfl-research:
simulation framework for accelerating research in Private Federated Learning", NeurIPS 2024,
arXiv:2404.06430, and its public code (`simple_cnn`).

3x32x32, 10 classes: 1,626,442 parameters (896 + 18,496 + 1,605,760 + 1,290), 16,835,200 forward MACs
(777,600 + 14,450,688 + 1,605,632 + 1,280).
Initialisation: Glorot uniform weights; biases as torch draws them.
Differs from the paper: nothing known.
"""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input


class PflCnn(Model):
    """The CNN of pfl's image benchmarks, for inputs of at least 6x6 pixels."""

    pool_dropout: float = Field(
        0.25, ge=0, lt=1, description="probability that training zeroes a value after the pooling"
    )
    unit_dropout: float = Field(
        0.5, ge=0, lt=1, description="probability that training zeroes an output of the hidden linear layer"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 6."""
        channels, height, width = check_input(self.name, shape, n_outputs, min_side=6)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(channels, 32, 3),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(32, 64, 3),
            pool=nn.MaxPool2d(2),  # before the ReLU: the same values, and a quarter to clamp
            relu2=nn.ReLU(),
        )
        if self.pool_dropout > 0:
            layers["dropout1"] = nn.Dropout(self.pool_dropout)
        layers["flatten"] = nn.Flatten()
        layers["fc1"] = nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), 128)
        layers["relu3"] = nn.ReLU()
        if self.unit_dropout > 0:
            layers["dropout2"] = nn.Dropout(self.unit_dropout)
        layers["fc2"] = nn.Linear(128, n_outputs)
        net = nn.Sequential(layers)
        for layer in net.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
        return net
