"""Mirror images."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from distreal_sim.base.rng import Rngs
from distreal_sim.recipe.augmentations import Augmentation


class Flip(Augmentation):
    """Left and right of some images change places."""

    share: float = Field(0.5, ge=0, le=1, description="probability of an image")

    def apply(self, x: Tensor, rngs: Rngs) -> Tensor:
        chosen = torch.from_numpy(rngs("flip").random(len(x)) < self.share).to(x.device)
        return torch.where(chosen[:, None, None, None], x.flip(3), x)
