"""ResNet-18 in its CIFAR form: four stages of two basic blocks with 64, 128, 256 and 512 channels.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.

3x32x32: 11,173,962 parameters and 555,422,720 forward MACs with 10 classes, 11,220,132 and 555,468,800 with
100.
Differs from the paper: the 7x7 stride-2 stem with max pooling, made for 224x224 images, is a 3x3 convolution
of stride 1, as usual for CIFAR.
"""

from __future__ import annotations

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input
from distreal_sim.models._resnet import ResNet


class ResNet18(Model):
    """ResNet-18 for small images of at least 8x8 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 8."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=8)
        return ResNet(channels, n_outputs, widths=(64, 128, 256, 512), n_blocks=2)
