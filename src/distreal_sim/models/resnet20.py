"""ResNet-20 in its CIFAR form: three stages of three basic blocks with 16, 32 and 64 channels.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.

3x32x32, 10 classes: 272,474 parameters, 40,813,184 forward MACs.
Differs from the paper: the two skips that change width are 1x1 convolutions with batch norm (its option B);
the paper's CIFAR networks pad with zeros (option A: 269,722 parameters).
"""

from __future__ import annotations

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input
from distreal_sim.models._resnet import ResNet


class ResNet20(Model):
    """ResNet-20, option B, for inputs of at least 4x4 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=4)
        return ResNet(channels, n_outputs, widths=(16, 32, 64), n_blocks=3)
