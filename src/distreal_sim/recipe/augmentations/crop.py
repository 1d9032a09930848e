"""Shifted images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.recipe.augmentations import Augmentation


class Crop(Augmentation):
    """A part of each image, of the size of the image, after all sides got a margin of the mean colour."""

    padding: int = Field(4, ge=1, description="pixels of the margin; an image moves by as many at most")

    def apply(self, x: Tensor, rngs: Rngs) -> Tensor:
        n, channels, height, width = x.shape
        corners = torch.from_numpy(rngs("crop").integers(0, 2 * self.padding + 1, (2, n, 1))).to(x.device)
        rows = corners[0] + torch.arange(height, device=x.device)
        columns = corners[1] + torch.arange(width, device=x.device)
        wide = F.pad(x, [self.padding] * 4)
        images, of = torch.arange(n, device=x.device), torch.arange(channels, device=x.device)
        return wide[
            images[:, None, None, None], of[:, None, None], rows[:, None, :, None], columns[:, None, None]
        ]
