"""The token at every place of a sequence: the next one, or those that are masked."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import PrivateAttr
from torch import Tensor

from distreal_sim.data.datasets import IGNORED, Data, Targets
from distreal_sim.recipe.tasks import LearningTask


class NextToken(LearningTask):
    """The mean cross-entropy over the tokens of a mini-batch that are asked for.

    Outputs: scores (n, L, n_outputs) of the tokens. Places of y that hold `IGNORED` do not count, so the
    losses of two mini-batches with different numbers of such places are means over different numbers of
    tokens. 0 where no token is asked for.
    """

    targets: ClassVar[Targets] = "tokens"
    asks: ClassVar[str] = "a score for each token at each place"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "perplexity")
    names_classes: ClassVar[bool] = True

    _smoothing: float = PrivateAttr(0.0)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        if not y.is_floating_point():
            total, n_tokens = _sum(outputs, y, self._smoothing)
            return total / max(1, n_tokens)
        n_asked = (y.sum(-1) > 0).sum().clamp(min=1)  # y: probabilities of the tokens, from `target`
        return -(y * F.log_softmax(outputs, dim=-1)).sum() / n_asked

    def losses(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, int]:
        return _sum(outputs, y, 0.0)

    def smoothed(self, share: float) -> NextToken:
        own = self.model_copy()
        own._smoothing = share
        return own

    def target(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.softmax(outputs, dim=-1) * (y != IGNORED).unsqueeze(-1)

    def output_shape(self, data: Data) -> tuple[int, ...]:
        return (data.train.y.shape[1], data.n_outputs)


def _sum(outputs: Tensor, y: Tensor, smoothing: float) -> tuple[Tensor, int]:
    """(sum of the cross-entropies, number of tokens that are asked for)."""
    scores, tokens = outputs.flatten(0, 1), y.flatten()
    total = F.cross_entropy(scores, tokens, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
    return total, int((y != IGNORED).sum())
