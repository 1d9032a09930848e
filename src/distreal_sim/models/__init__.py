"""Networks: one plug-in a file."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import nn

from distreal_sim.plugins import Plugin


class Model(Plugin):
    """Builds a classifier."""

    package: ClassVar[str] = "distreal_sim.models"
    label: ClassVar[str] = "model"

    @abstractmethod
    def build(self, shape: tuple[int, ...], n_classes: int) -> nn.Module:
        """A freshly initialised network for inputs of `shape` (C, H, W), returning logits (n, n_classes).

        Parameters are drawn from torch's default generator, which the caller has seeded.
        """
