"""Blocks of the transformers: self-attention and an MLP, each after a layer norm and added to its input."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from distreal_sim.base.errors import InputError


class Attention(nn.Module):
    """Self-attention over the tokens with `heads` heads of `size` units each.

    causal: no token sees later ones. Queries, keys and values have no bias: that of the keys changes nothing.
    """

    def __init__(self, width: int, heads: int, size: int, causal: bool) -> None:
        super().__init__()
        self.query = nn.Linear(width, heads * size, bias=False)
        self.key = nn.Linear(width, heads * size, bias=False)
        self.value = nn.Linear(width, heads * size, bias=False)
        self.out = nn.Linear(heads * size, width)
        self.size, self.causal = size, causal

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, T, width); returns the same shape."""
        query, key, value = self._heads(self.query(x)), self._heads(self.key(x)), self._heads(self.value(x))
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        result: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return result

    def _heads(self, x: Tensor) -> Tensor:
        """(n, T, heads * size) -> (n, heads, T, size)."""
        heads: Tensor = x.unflatten(2, (-1, self.size))  # type: ignore[no-untyped-call]
        return heads.transpose(1, 2)


class Block(nn.Module):
    """Attention, and a hidden layer with GELU, each on the normalised stream and added to it."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, width // heads, causal)
        self.hidden, self.gelu, self.out = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, T, width); returns the same shape."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        added: Tensor = self.dropout(self.out(self.gelu(self.hidden(self.norm2(x)))))
        return x + added


def check_heads(model: str, width: int, heads: int) -> None:
    """Raises InputError unless the width divides into the heads."""
    if width % heads:
        raise InputError(
            f"model '{model}': width ({width}) must be a multiple of heads ({heads}), for example "
            f"{width - width % heads or heads}"
        )


def init_transformer(net: nn.Module) -> None:
    """Weights of linear layers and embeddings from N(0, 0.02^2), biases 0, as GPT-2's code has it."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Embedding):
            nn.init.normal_(layer.weight, std=0.02)
        if isinstance(layer, nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
