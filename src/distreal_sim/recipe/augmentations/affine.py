"""Images that are turned, sheared, scaled and shifted.

Angles are those of an image that is scaled to a square.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.recipe.augmentations import Augmentation


class Affine(Augmentation):
    """Each image turned, sheared, scaled and shifted by random amounts; what comes in has the mean colour."""

    degrees: float = Field(25.0, ge=0, le=180, description="largest rotation either way, in degrees")
    shear: float = Field(25.0, ge=0, lt=90, description="largest shear along the rows either way, in degrees")
    scale: tuple[float, float] = Field((0.5, 1.5), description="smallest and largest scale")
    shift: float = Field(0.1, ge=0, lt=1, description="largest shift either way, as a share of the side")

    @model_validator(mode="after")
    def _check(self) -> Affine:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale {list(self.scale)} must be two numbers above 0, the smaller one first")
        return self

    def apply(self, x: Tensor, rngs: Rngs) -> Tensor:
        n = len(x)
        u = torch.from_numpy(rngs("affine").uniform(-1, 1, (5, n))).to(x.device, x.dtype)
        turn, slant = u[0] * math.radians(self.degrees), torch.tan(u[1] * math.radians(self.shear))
        low, high = self.scale
        scale = low + (high - low) * (u[2] + 1) / 2
        cos, sin = torch.cos(turn) / scale, torch.sin(turn) / scale
        # rows of the inverse map, from the new image to the old one, both in [-1, 1]
        rows = [
            cos,
            -sin + slant * cos,
            -2 * self.shift * u[3],
            sin,
            cos + slant * sin,
            -2 * self.shift * u[4],
        ]
        grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)
