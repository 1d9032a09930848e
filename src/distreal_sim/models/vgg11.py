"""VGG-11 for 32x32 images: eight 3x3 convolutions and two hidden layers of 512 units.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv:1409.1556 (configuration A); in the size of Wang, Liu, Liang, Joshi, Poor, "Tackling the Objective
Inconsistency Problem in Heterogeneous Federated Optimization" (FedNova), NeurIPS 2020, arXiv:2007.07481,
whose public code also has the initialisation: He et al. 2015 (fan-out) for convolutions, torch's default for
linear layers.

3x32x32, 10 classes: 9,750,922 parameters, 153,293,824 forward MACs.
Differs from the paper: two hidden layers of 512 units rather than 4096; `norm: batch` (ours, off by default)
puts batch norm before every hidden ReLU.
"""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import Norm, check_input, conv_relu, init_he, linear_relu

_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class Vgg11(Model):
    """VGG-11 with two hidden layers of 512 units, for inputs of at least 32x32 pixels."""

    norm: Norm = Field(
        "none", description="batch: after every convolution and hidden linear layer, which then have no bias"
    )
    unit_dropout: float = Field(
        0.5, ge=0, lt=1, description="probability that training zeroes an input of a hidden linear layer"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 32, which five poolings leave with 1x1."""
        channels, height, width = check_input(self.name, shape, n_outputs, min_side=32)
        features: OrderedDict[str, nn.Module] = OrderedDict()
        for stage, widths in enumerate(_STAGES, start=1):
            for block, n_out in enumerate(widths, start=1):
                pool = nn.MaxPool2d(2) if block == len(widths) else None
                features[f"conv{stage}_{block}"] = conv_relu(channels, n_out, 3, self.norm, pool)
                channels = n_out
        classifier: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        n_in = channels * (height // 32) * (width // 32)
        for layer in (1, 2):
            if self.unit_dropout > 0:
                classifier[f"dropout{layer}"] = nn.Dropout(self.unit_dropout)
            classifier[f"fc{layer}"] = linear_relu(n_in, 512, self.norm)
            n_in = 512
        classifier["fc3"] = nn.Linear(512, n_outputs)
        net = nn.Sequential(features | classifier)
        init_he(net)
        return net
