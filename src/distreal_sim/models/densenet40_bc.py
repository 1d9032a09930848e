"""DenseNet-BC with 40 layers and growth rate 12.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017,
arXiv:1608.06993.

3x32x32: 176,122 parameters and 72,365,352 forward MACs with 10 classes, 188,092 and 72,377,232 with 100.
Differs from the paper: nothing known. "DenseNet-40" names three different networks elsewhere; this one, with
bottlenecks and compression, is the one of CoCoFL and SLT (the paper's plain DenseNet-40 has 1,019,722
parameters).
"""

from __future__ import annotations

from torch import nn

from distreal_sim.models import Model
from distreal_sim.models._densenet import DenseNetBC
from distreal_sim.models._layers import check_input


class DenseNet40BC(Model):
    """DenseNet-BC-40 (k = 12), for inputs of at least 4x4 pixels."""

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W >= 4."""
        channels, _, _ = check_input(self.name, shape, n_outputs, min_side=4)
        return DenseNetBC(channels, n_outputs, depth=40, growth=12)
