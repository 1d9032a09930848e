"""The toy experiment of the tests: real objects, small."""

from __future__ import annotations

from typing import Any

from serial_grid import SerialGrid

from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build
from distreal_sim.grids.flower.client_app import make_client_app
from distreal_sim.grids.flower.fleet import GridFleet

TOY: dict[str, Any] = {
    "name": "toy",
    "seed": 7,
    "rounds": 4,
    "deadline_s": 10.0,
    "n_clients": 12,
    "clients_per_round": 5,
    "dataset": {"name": "digits"},
    "partition": {"name": "dirichlet", "alpha": 1.0},
    "model": {"name": "small_cnn", "width": 4},
    "local": {"epochs": 1, "batch_size": 16, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.001},
    "profile": {"name": "markov", "levels": [0.1, 0.3, 1.0], "changes_per_round": 3},
    "method": {"name": "distreal"},
    "checkpoint_every": 2,
}
"""Twelve unequal clients learn the digits for four rounds; a run takes less than a second."""


def toy(**changes: Any) -> Experiment:
    """The toy experiment with some top-level keys replaced."""
    return parse_experiment({**TOY, **changes}, source="toy")


def toy_fleet(experiment: Experiment) -> tuple[Task, GridFleet]:
    """The experiment's task, and its clients in this process."""
    task = build(experiment)
    app = make_client_app(lambda context: (task, experiment.method))
    grid = SerialGrid(app, len(task.split))
    return task, GridFleet(grid, task, nodes=None, window=4, states=grid)
