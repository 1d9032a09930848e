"""A small causal transformer for text: 4 blocks of width 128, in a size of our own.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin, "Attention Is All You Need",
NeurIPS 2017, arXiv:1706.03762; a decoder alone with the layer norms first, as Radford, Wu, Child, Luan,
Amodei, Sutskever, "Language Models are Unsupervised Multitask Learners" (GPT-2), 2019, have it.

With V tokens, L places, width w, hidden layers of h = 4w units, d blocks and k outputs:
- parameters = (V + L) w + d (4w^2 + 2wh + 6w + h) + 2w + (w + 1) k;
- forward MACs = L d (4w^2 + 2wh) + 2 d L^2 w + L w k; w k in place of L w k where one token is predicted.

80 places, 80 tokens and outputs: 822,608 parameters, 70,287,360 forward MACs.
Initialisation: weights from N(0, 0.02^2), biases 0.
Differs from the paper: no biases of queries, keys and values; the last layer does not share the table of
tokens; GPT-2 makes initial weights that are added to the stream smaller in deeper networks.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_tokens
from distreal_sim.models._transformer import Block, check_heads, init_transformer


class TextTransformer(Model):
    """Causal transformer, for texts as tokens of any length."""

    only_linear: ClassVar[bool] = True

    width: int = Field(128, ge=1, description="units of a token; a multiple of heads")
    depth: int = Field(4, ge=1, description="blocks")
    heads: int = Field(4, ge=1, description="heads of each attention")
    hidden: int | None = Field(
        None, ge=1, examples=[256], description="units of each block's hidden layer; left out: 4 width"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="probability that training zeroes a value that is added to the stream"
    )
    predict: Literal["all", "last"] = Field(
        "all", description="the next token at every place, or the one after the last place"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (L,) of tokens."""
        length, n_tokens = check_tokens(self.name, shape, n_outputs, vocabulary)
        check_heads(self.name, self.width, self.heads)
        blocks = [
            Block(self.width, self.heads, self.hidden or 4 * self.width, self.dropout, causal=True)
            for _ in range(self.depth)
        ]
        return CausalTransformer(n_tokens, length, n_outputs, self.width, blocks, self.predict == "last")


class CausalTransformer(nn.Module):
    """Tokens, positions, blocks, layer norm, a linear layer at every place or at the last one."""

    def __init__(
        self, n_tokens: int, length: int, n_outputs: int, width: int, blocks: list[Block], last: bool
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(n_tokens, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, n_outputs)
        self.last = last
        init_transformer(self)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, L) tokens; returns logits (n, L, n_outputs), or (n, n_outputs) of the last place."""
        states = self.blocks(self.tokens(x) + self.positions)
        logits: Tensor = self.linear(self.norm(states[:, -1] if self.last else states))
        return logits
