"""DenseNet-BC with 100 layers and growth rate 12.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017,
arXiv:1608.06993.

3x32x32: 769,162 parameters and 287,929,692 forward MACs with 10 classes, 800,032 and 287,960,472 with 100.
Differs from the paper: nothing known.
"""

from __future__ import annotations

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._densenet import DenseNetBC
from distreal_sim.models._layers import check_input


class DenseNet100BC(Model):
    """DenseNet-BC-100 (k = 12), for inputs of at least 4x4 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=4)
        return DenseNetBC(channels, n_outputs, depth=100, growth=12)
