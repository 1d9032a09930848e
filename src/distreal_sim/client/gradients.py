"""Gradients that clients send: means over the examples of passes in which the model stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from distreal_sim.client.messages import GRADIENT, Update
from distreal_sim.thinning.engine.engine import Engine


class GradientSum:
    """The sum of the gradients of mini-batches, each times its examples."""

    def __init__(self) -> None:
        self._total: dict[str, Tensor] = {}
        self.n_examples = 0

    def add(self, engine: Engine, x: Tensor, y: Tensor) -> float:
        """Adds the gradient at the engine's present parameters, which do not change; returns the loss."""
        loss, found = engine.gradients(x, y, None)
        self.n_examples += len(x)
        for name, value in found.items():
            own = value.detach().cpu() * len(x)
            self._total[name] = self._total[name] + own if name in self._total else own
        return loss

    def mean(self, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The mean gradient of each of these parameters; 0 for one that no loss depends on."""
        found = {}
        for name, value in like.items():
            total = self._total.get(name, torch.zeros(value.shape))
            found[name] = (total / max(self.n_examples, 1)).numpy()
        return found


def with_gradient(update: Update, gradient: Mapping[str, np.ndarray]) -> Update:
    """The update with a gradient beside its parameters, under the names of `GRADIENT`."""
    return replace(update, arrays={**update.arrays, **{GRADIENT + n: own for n, own in gradient.items()}})


def gradient_of(update: Update) -> dict[str, np.ndarray]:
    """The gradient in an update by the parameters' names; empty for one without."""
    return {n.removeprefix(GRADIENT): own for n, own in update.arrays.items() if n.startswith(GRADIENT)}
