"""The toy experiment of the tests: real objects, small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from serial_grid import SerialGrid
from torch import Tensor, nn

from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.data.datasets import IGNORED, Data, Dataset, Examples
from distreal_sim.data.datasets.digits import Digits
from distreal_sim.grids.flower.client_app import make_client_app
from distreal_sim.grids.flower.fleet import GridFleet

SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.001}

TOY: dict[str, Any] = {
    "name": "toy",
    "seed": 7,
    "rounds": 4,
    "deadline_s": 10.0,
    "n_clients": 12,
    "clients_per_round": 5,
    "dataset": {"name": "toys.FewDigits"},
    "partition": {"name": "dirichlet", "alpha": 1.0},
    "model": {"name": "small_cnn", "width": 4},
    "local": {"epochs": 1, "batch_size": 16, "lr": 0.1, "optimizer": SGD},
    "profile": {"name": "markov", "levels": [0.1, 0.3, 1.0], "changes_per_round": 3},
    "method": {"name": "distreal"},
    "evaluation": {"statistics_batches": 2},
    "checkpoint_every": 2,
}
"""Twelve unequal clients learn some of the digits for four rounds; a run takes less than half a second."""

WHOLE_TOY = {**TOY, "dataset": {"name": "digits"}}
"""The same with all 1,437 digits, of a bundled data set."""


RECIPE: dict[str, Any] = {
    **TOY["local"],
    "lr": 0.01,
    "optimizer": {"name": "adam"},
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "augment": ["flip", {"name": "crop", "padding": 2}, {"name": "cutout", "size": 3}],
}
"""`local` with everything that there is beside SGD on images as they are."""


def toy(**changes: Any) -> Experiment:
    """The toy experiment with some top-level keys replaced."""
    return parse_experiment({**TOY, **changes}, source="toy")


def whole_toy(**changes: Any) -> Experiment:
    """WHOLE_TOY with some top-level keys replaced."""
    return parse_experiment({**WHOLE_TOY, **changes}, source="toy")


def toy_fleet(experiment: Experiment) -> tuple[Task, GridFleet]:
    """The experiment's task, and its clients in this process."""
    task = build(experiment)
    app = make_client_app(lambda context: (task, experiment.method))
    grid = SerialGrid(app, len(task.split))
    return task, GridFleet(grid, task, nodes=None, window=4, states=grid)


class FewDigits(Dataset):
    """A third of the digits: 479 training and 120 test examples."""

    def load(self) -> Data:
        def every_third(examples: Examples) -> Examples:
            return Examples(examples.x[::3].copy(), examples.y[::3].copy())

        digits = Digits().load()
        return replace(digits, train=every_third(digits.train), test=every_third(digits.test))


class Brightness(Dataset):
    """The digits' images, each with the mean brightness of its upper and of its lower half, 0 .. 1."""

    def load(self) -> Data:
        digits = Digits().load()

        def halves(examples: Examples) -> Examples:
            shares = examples.x.reshape(len(examples), 2, -1).mean(axis=2) / 16
            return Examples(examples.x, shares.astype(np.float32))

        return Data(halves(digits.train), halves(digits.test), 2, digits.mean, digits.std)


class Counting(Dataset):
    """Texts of 6 tokens: after token t comes (t + 1) or (t + 2) mod 5; the last place is not asked."""

    def load(self) -> Data:
        rng = np.random.default_rng(5)

        def texts(n: int) -> Examples:
            steps = rng.integers(1, 3, (n, 7))
            tokens = (np.cumsum(steps, axis=1) + rng.integers(0, 5, (n, 1))) % 5
            y = tokens[:, 1:].copy()
            y[:, -1] = IGNORED
            return Examples(tokens[:, :-1], y)

        return Data(texts(240), texts(60), 5, vocabulary=5)


class TinyText(nn.Module):
    """An embedding and two layers at each place: scores (n, L, n_outputs)."""

    def __init__(self, n_outputs: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 6)
        self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, L) token ids."""
        scores: Tensor = self.out(torch.relu(self.hidden(self.embedding(x))))
        return scores


class Pooled(TinyText):
    """Scores of the whole text, (n, n_outputs)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(1)


REGRESSION: dict[str, Any] = {"dataset": {"name": "toys.Brightness"}, "partition": {"name": "iid"}}
"""Changes that make the toy a regression."""

NEXT_TOKEN: dict[str, Any] = {
    "dataset": {"name": "toys.Counting"},
    "partition": {"name": "iid"},
    "model": {"name": "toys.TinyText"},
}
"""Changes that make the toy a language model."""

TEXT_RECIPE: dict[str, Any] = {
    **NEXT_TOKEN,
    "local": {key: value for key, value in RECIPE.items() if key != "augment"},
    "evaluation": {"every": 2, "clients": "all"},
}
"""Changes that make the toy a language model that is trained by Adam and tested on each client's texts."""
