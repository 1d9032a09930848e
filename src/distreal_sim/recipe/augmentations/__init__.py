"""Augmentations: random changes of training images; one plug-in a file."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor

from distreal_sim.base.plugins import Plugin
from distreal_sim.base.rng import Rngs
from distreal_sim.recipe.augmentations._transforms import transform_class


class Augmentation(Plugin):
    """A random change of the images of a mini-batch, before a training step; tests see the images unchanged.

    in_unit_range: whether `apply` takes images with values in [0, 1], as they are before normalisation, and
    not normalised ones, in which 0 is the mean of the training images.
    """

    package: ClassVar[str] = "distreal_sim.recipe.augmentations"
    label: ClassVar[str] = "augmentation"

    in_unit_range: ClassVar[bool] = False

    @classmethod
    def adapt(cls, target: Any) -> type[Self] | None:
        """Any class whose objects are called with an image, such as those of torchvision.transforms.v2."""
        called = inspect.isclass(target) and any("__call__" in vars(kind) for kind in target.__mro__)
        return transform_class(cls, target) if called else None

    @abstractmethod
    def apply(self, x: Tensor, rngs: Rngs) -> Tensor:
        """The images after the change, as many and of the same shape. x: (n, C, H, W) float32.

        rngs: generators that belong to this mini-batch of this client in this round, and to this place in the
        list of augmentations. x must not be changed.
        """

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError where images (C, H, W) of this shape cannot be changed so."""
