"""The Shakespeare network of LEAF: characters as 8 numbers, two LSTM layers of 256 units, a linear layer.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, arXiv:1602.05629; Caldas, Duddu, Wu, Li, Konecny, McMahan, Smith,
Talwalkar, "LEAF: A Benchmark for Federated Settings", arXiv:1812.01097, 2018, and its public code.

With V tokens, L places, e numbers a token, w units, d layers and k outputs:
- parameters = V e + 4w (e + w + 2) + (d - 1) 4w (2w + 2) + (w + 1) k;
- forward MACs = L (4w (e + w) + (d - 1) 8w^2 + w k); w k in place of L w k where one token is predicted.

80 places, 80 tokens and outputs: 819,920 parameters, 65,208,320 forward MACs.
Initialisation: as torch draws it.
Differs from the paper: two biases a gate, as torch has them, in place of one; LEAF's code adds 1 to the
forget gate and draws the weights by Glorot's rule; it predicts the character after the last place
(`predict: last`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from distreal_sim.models import Model
from distreal_sim.models._layers import check_tokens


class CharLstm(Model):
    """LEAF's LSTM, for texts as tokens of any length."""

    only_linear: ClassVar[bool] = True

    embedding: int = Field(8, ge=1, description="numbers a token is looked up as")
    width: int = Field(256, ge=1, description="hidden units of each LSTM layer")
    depth: int = Field(2, ge=1, description="LSTM layers")
    predict: Literal["all", "last"] = Field(
        "all", description="the next token at every place, or the one after the last place"
    )

    def build(self, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        """See `Model.build`; shape (L,) of tokens."""
        _, n_tokens = check_tokens(self.name, shape, n_outputs, vocabulary)
        return Lstm(n_tokens, n_outputs, self.embedding, self.width, self.depth, self.predict == "last")


class Lstm(nn.Module):
    """Tokens, LSTM layers, each a module of its own, a linear layer at every place or at the last one."""

    def __init__(
        self, n_tokens: int, n_outputs: int, embedding: int, width: int, depth: int, last: bool
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(n_tokens, embedding)
        inputs = [embedding] + [width] * (depth - 1)
        self.layers = nn.ModuleList([nn.LSTM(n_in, width, batch_first=True) for n_in in inputs])
        self.linear = nn.Linear(width, n_outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, L) tokens; returns logits (n, L, n_outputs), or (n, n_outputs) of the last place."""
        states = self.tokens(x)
        for layer in self.layers:
            states = layer(states)[0]
        logits: Tensor = self.linear(states[:, -1] if self.last else states)
        return logits
