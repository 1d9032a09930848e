"""FedProx: the step of the regularised loss, and partial work."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rounds import model_bytes, play
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine

UNLIMITED = {"name": "constant", "level": math.inf}


def test_the_anchor_is_what_was_loaded() -> None:
    """The gradient of minus the sum of W 1 + b is -1 everywhere: at lr 2 a step goes from 3 to 5.

    There the term is 0.5 / 2 * (5 - 3)^2. A step on it alone, at lr 0.1, gives 5 - 0.1 * 0.5 * (5 - 3) = 4.9;
    after the same two steps from 7, with 7 for an anchor, 8.9.
    """
    module = nn.Sequential(nn.Linear(2, 3))
    engine = Engine(module, find_groups(module, torch.zeros(2, 2)))
    x, y = torch.ones(1, 2), torch.zeros(1, dtype=torch.long)
    for loaded, expected in ((3, 4.9), (7, 8.9)):
        engine.load({name: np.full_like(array, loaded) for name, array in engine.export().items()})
        engine.step(x, y, None, 2.0, lambda outputs, y: -outputs.sum(), proximal=0.5)
        engine.step(x, y, None, 0.1, lambda outputs, y: 0 * outputs.sum(), proximal=0.5)
        for array in engine.export().values():
            np.testing.assert_allclose(array, expected, rtol=1e-6)


def test_the_term_cannot_begin_after_other_steps() -> None:
    """What was loaded is then gone."""
    module = nn.Sequential(nn.Linear(2, 3))
    engine = Engine(module, find_groups(module, torch.zeros(2, 2)))
    x, y = torch.ones(1, 2), torch.zeros(1, dtype=torch.long)
    engine.step(x, y, None, 0.1)
    with pytest.raises(InputError, match=r"^a proximal term must be there from the first step"):
        engine.step(x, y, None, 0.1, proximal=0.5)
    engine.load(engine.export())
    engine.step(x, y, None, 0.1, proximal=0.5)


def test_the_term_holds_clients_back() -> None:
    """The larger mu, the nearer the merged model stays to the one the round began with."""
    distances = []
    for mu in (0.0, 0.1, 1.0):
        method = {"name": "fedprox", "mu": mu}
        before, after = play(1, profile=UNLIMITED, method=method, local={"epochs": 4, "lr": 0.1}).states
        moves = [after.arrays[k] - v for k, v in before.arrays.items()]
        distances.append(math.sqrt(sum(float((m**2).sum()) for m in moves)))
    assert distances[0] > distances[1] > distances[2] > 0


def test_stragglers_are_merged_where_fedavg_drops_them() -> None:
    """mu 0 at 0.9 of the capacity that the median client needs: same clients, same MACs, another model.

    FedAvg with `overrun: drop` loses what is late, uploads nothing for it, but has sent the model to it all
    the same.
    """
    steady = {"name": "constant", "level": 0.9}
    prox = play(1, profile=steady, method={"name": "fedprox", "mu": 0.0})
    fedavg = play(1, profile=steady, method="fedavg", overrun="drop")
    assert prox.model != fedavg.model
    assert [r.macs for r in prox.clients] == [r.macs for r in fedavg.clients]
    assert {r.status for r in prox.clients} == {"completed", "partial"}
    assert {r.status for r in fedavg.clients} == {"completed", "dropped"}
    for mine, lost in zip(prox.clients, fedavg.clients, strict=True):
        assert mine.download_bytes == lost.download_bytes > 0
        assert mine.upload_bytes > 0
        assert (lost.upload_bytes > 0) == (lost.status == "completed") == (mine.status == "completed")


def test_where_all_are_late_fedavg_stands_still() -> None:
    """Equal clients with half of the capacity that they need: nobody finishes."""
    late = {"partition": {"name": "iid"}, "profile": {"name": "constant", "level": 0.5}}
    prox = play(1, **late, method={"name": "fedprox", "mu": 0.0})
    fedavg = play(1, **late, method="fedavg", overrun="drop")
    assert {r.status for r in prox.clients} == {"partial"}
    assert fedavg.model == model_bytes(fedavg.states[0]) == model_bytes(prox.states[0]) != prox.model
