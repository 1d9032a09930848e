"""A DenseNet-BC small enough to be searched many times: 22 layers, 21 rates."""

from __future__ import annotations

from distreal_sim.models._densenet import DenseNetBC


class Dense22(DenseNetBC):
    """Three blocks of three bottlenecks, growth rate 12."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__(in_channels, num_classes, depth=22, growth=12)
