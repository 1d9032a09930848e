"""Vision transformer for small images: 4 blocks of width 64 on patches of 4x4 pixels, in a size of our own.

Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, Minderer, Heigold, Gelly, Uszkoreit,
Houlsby, "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
arXiv:2010.11929; without a class token: the mean over the patches is classified, as in Beyer, Zhai,
Kolesnikov, "Better plain ViT baselines for ImageNet-1k", arXiv:2205.01580, 2022.

With T patches of p x p pixels and c channels, width w, hidden layers of h = 4w units, d blocks and k classes:
- parameters = (p^2 c + 1 + T) w + d (4w^2 + 2wh + 6w + h) + 2w + (w + 1) k;
- forward MACs = T p^2 c w + d (T (4w^2 + 2wh) + 2 T^2 w) + w k.

3x32x32, 10 classes: 207,178 parameters, 14,877,312 forward MACs.
Initialisation: weights from N(0, 0.02^2), those of the patches as torch draws them; other biases 0.
Differs from the paper: no biases of queries, keys and values.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_input
from distreal_sim.models._transformer import Block, check_heads, init_transformer


class Vit(Model):
    """Vision transformer, for images of at least one patch; patches that the edge cuts are not read."""

    only_linear: ClassVar[bool] = True

    patch: int = Field(4, ge=1, description="side of a patch, pixels")
    width: int = Field(64, ge=1, description="units of a token; a multiple of heads")
    depth: int = Field(4, ge=1, description="blocks")
    heads: int = Field(4, ge=1, description="heads of each attention")
    hidden: int | None = Field(
        None, ge=1, examples=[128], description="units of each block's hidden layer; left out: 4 width"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="probability that training zeroes a value that is added to the stream"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (C, H, W), H and W of at least a patch."""
        channels, height, width = check_input(self.name, shape, n_outputs, min_side=self.patch)
        check_heads(self.name, self.width, self.heads)
        blocks = [
            Block(self.width, self.heads, self.hidden or 4 * self.width, self.dropout, causal=False)
            for _ in range(self.depth)
        ]
        n_patches = (height // self.patch) * (width // self.patch)
        return VisionTransformer(channels, n_outputs, self.patch, n_patches, self.width, blocks)


class VisionTransformer(nn.Module):
    """Patches, positions, blocks, layer norm, mean over the patches, classifier."""

    def __init__(
        self, n_in: int, n_outputs: int, patch: int, n_patches: int, width: int, blocks: list[Block]
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(n_in, width, patch, stride=patch)
        self.positions = nn.Parameter(0.02 * torch.randn(n_patches, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, n_outputs)
        init_transformer(self)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, n_in, H, W); returns logits (n, n_outputs)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.linear(self.norm(self.blocks(tokens)).mean(1))
        return logits
