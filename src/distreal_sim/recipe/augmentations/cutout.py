"""Images with a hole.

DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout. arXiv 1708.04552, 2017.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.recipe.augmentations import Augmentation


class Cutout(Augmentation):
    """A square of the mean colour, whose centre is a random pixel; a part of it may lie outside."""

    size: int = Field(8, ge=1, description="side of the square, in pixels")

    def apply(self, x: Tensor, rngs: Rngs) -> Tensor:
        n, _, height, width = x.shape
        centres = torch.from_numpy(rngs("cutout").integers(0, (height, width), (n, 2))).to(x.device)
        first = centres - self.size // 2
        rows, columns = (torch.arange(length, device=x.device) for length in (height, width))
        down = (rows >= first[:, :1]) & (rows < first[:, :1] + self.size)
        across = (columns >= first[:, 1:]) & (columns < first[:, 1:] + self.size)
        return x.masked_fill((down[:, :, None] & across[:, None, :])[:, None], 0.0)

    def check(self, shape: tuple[int, ...]) -> None:
        if self.size >= min(shape[1:]):
            raise ValueError(f"size ({self.size}) must be less than the sides of the images, {shape[1:]}")
