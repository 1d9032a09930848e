"""Multinomial logistic regression: one linear layer over all numbers of an example.

The MNIST model of Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith, "Federated Optimization in Heterogeneous
Networks" (FedProx), MLSys 2020, arXiv:1812.06127, and the `LR` of Garcia, Manoel, Madrigal Diaz,
Mireshghallah, Sim, Dimitriadis, "FLUTE: A Scalable, Extensible Framework for High-Performance Federated
Learning Simulations", arXiv:2203.13789, 2022.

With F numbers an example and k classes: k (F + 1) parameters, k F forward MACs.
1x28x28, 10 classes: 7,850 parameters, 7,840 forward MACs. Without hidden channels nothing is dropped.
Initialisation: torch's default.
Differs from the paper: FLUTE's code has a sigmoid between the layer and the softmax; here is none.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_numbers


class Logistic(Model):
    """Logistic regression, for images, series and rows of tables of any size."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; any shape of numbers."""
        linear = nn.Linear(check_numbers(self.name, shape, n_outputs, vocabulary), n_outputs)
        return nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear))
