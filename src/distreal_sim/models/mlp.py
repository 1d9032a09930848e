"""Multilayer perceptron: two hidden layers of 200 units, the 2NN of the paper that introduced FedAvg.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, arXiv:1602.05629.

With F numbers an example, w units, d layers and k outputs:
- parameters = (F + 1) w + (d - 1) (w + 1) w + (w + 1) k;
- forward MACs = F w + (d - 1) w^2 + w k.

1x28x28, 10 classes: 199,210 parameters, 198,800 forward MACs.
Initialisation: torch's default.
Differs from the paper: nothing known.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_numbers, linear_relu


class Mlp(Model):
    """Hidden linear layers with ReLU, for images, series and rows of tables of any size."""

    only_linear: ClassVar[bool] = True

    width: int = Field(200, ge=1, description="units of each hidden layer")
    depth: int = Field(2, ge=1, description="hidden layers")

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; any shape of numbers."""
        inputs = [check_numbers(self.name, shape, n_outputs, vocabulary)] + [self.width] * (self.depth - 1)
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, n_in in enumerate(inputs, 1):
            layers[f"hidden{number}"] = linear_relu(n_in, self.width, "none")
        layers["linear"] = nn.Linear(self.width, n_outputs)
        return nn.Sequential(layers)
