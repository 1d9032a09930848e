"""All widths 1, complete labels, no stragglers: what is then FedAvg, bit for bit."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from rounds import Played, play
from toys import toy

from distreal_sim.config.build import build

EVEN: dict[str, Any] = {
    "dataset": {"name": "digits", "validation": 413 / 1437},
    "partition": {"name": "iid"},
    "n_clients": 16,
    "profile": {"name": "constant", "level": math.inf},
}
"""1,024 of the 1,437 training digits, so that each of 16 clients has 64: with a power of two the mean that is
weighted by examples and the plain one are the same in floating point."""

SAME: list[dict[str, Any]] = [
    {"name": "fedprox", "mu": 0.0},
    {"name": "federated_dropout", "keep": 1.0},
    {"name": "federated_dropout", "keep": 1.0, "average": "zero_update"},
    {"name": "federated_dropout", "levels": [1.0, 0.5]},
    {"name": "fedrolex"},
    {"name": "fedrolex", "direction": "down", "rounding": "ceil"},
    {"name": "heterofl"},
    {"name": "heterofl", "levels": [1.0]},
    {"name": "heterofl", "levels": [1.0, 1.0], "assignment": "fixed"},
    {"name": "fjord", "widths": [1.0]},
    {"name": "cocofl"},
    {"name": "depthfl", "depths": 1},
    {"name": "inclusivefl", "depths": 1},
    {"name": "distreal"},
    {"name": "slt", "ratio": 1.0},
    {"name": "small", "width": 1.0},
]


@functools.cache
def fedavg() -> Played:
    return play(3, **EVEN, method={"name": "fedavg"})


def test_the_clients_are_even_and_have_all_labels() -> None:
    task = build(toy(**EVEN))
    assert task.split.sizes.tolist() == [64] * 16
    for client_id in range(16):
        assert len(np.unique(task.data.train.y[task.split[client_id]])) == 10, client_id


@pytest.mark.parametrize("method", SAME, ids=str)
def test_is_fedavg_bit_for_bit(method: dict[str, Any]) -> None:
    """Three rounds; MACs and times are FedAvg's too."""
    played = play(3, **EVEN, method=method)
    assert played.model == fedavg().model
    assert [(r.status, r.macs, r.sim_s) for r in played.clients] == [
        (r.status, r.macs, r.sim_s) for r in fedavg().clients
    ]
