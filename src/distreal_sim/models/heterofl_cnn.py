"""The network of HeteroFL's MNIST experiments: 3x3 convolutions of 64, 128, 256 and 512 channels.

Diao, Ding, Tarokh, "HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous
Clients", ICLR 2021, arXiv:2010.01264. Every convolution has a bias, batch norm and ReLU; 2x2 max pooling
after the first three, global average pooling after the last, then the classifier.

1x28x28, 10 classes: 1,556,874 parameters, 39,974,912 forward MACs. At HeteroFL's widths a to e, that is 1,
1/2, 1/4, 1/8 and 1/16 of the channels, parameters as published: 1,556,874, 391,370, 98,922, 25,274 and 6,594.
Differs from the paper: convolutions start as He et al. 2015 have it (fan-out, biases 0; our choice, as in our
other networks).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input, init_he

WIDTHS = (64, 128, 256, 512)


class HeteroFLCnn(Model):
    """HeteroFL's four convolutions, for inputs of at least 8x8 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 8."""
        before, _, _ = check_input(self.name, shape, n_outputs, min_side=8)
        net = nn.Sequential()
        for number, width in enumerate(WIDTHS, 1):
            layers: OrderedDict[str, nn.Module] = OrderedDict(
                conv=nn.Conv2d(before, width, 3, padding=1), norm=nn.BatchNorm2d(width)
            )
            if number == len(WIDTHS):
                layers |= {"relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1)}
            else:  # the same values as in the other order, and a quarter to clamp
                layers |= {"pool": nn.MaxPool2d(2), "relu": nn.ReLU()}
            net.add_module(f"block{number}", nn.Sequential(layers))
            before = width
        net.add_module("flatten", nn.Flatten())
        net.add_module("linear", nn.Linear(before, n_outputs))
        init_he(net)
        return net
