"""FedNova: normalised averaging by hand, and norms of gradients from steps on a linear loss."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rounds import ROUND, play
from torch import nn
from toys import toy

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, State, Update
from distreal_sim.config.build import build
from distreal_sim.methods.fednova import gradient_norm
from distreal_sim.simulation.rounds import start
from distreal_sim.thinning.coupling.groups import find_groups
from distreal_sim.thinning.engine.engine import Engine

UNLIMITED = {"name": "constant", "level": math.inf}


def came_back(state: State, value: float, n_steps: int, n_examples: int = 1) -> Update:
    """A client in which n_steps steps turned every parameter into `value`."""
    facts = Facts(0, "partial", n_examples, 9, n_steps, 1, 1.0, 1.0, 1, 1, 1.0)
    arrays = {name: np.full_like(array, value) for name, array in state.arrays.items()}
    return Update(
        facts, arrays, Coverage((None, None, None), np.full(n_steps, 16), np.full(n_steps, 3 * n_steps))
    )


def merged(
    local: dict[str, Any],
    method: dict[str, Any],
    clients: list[tuple[float, int, int]],
    n_rounds: int = 1,
    merge: dict[str, Any] | None = None,
) -> float:
    """The parameters, all 0 at first, after a merge of clients (value, steps, examples) in round n_rounds."""
    experiment = toy(
        rounds=n_rounds, local={"epochs": 1, **local}, method={"name": "fednova", **method}, merge=merge or {}
    )
    task = build(experiment)
    state = start(experiment, task).state
    zeros = {name: np.zeros_like(array) for name, array in state.arrays.items()}
    state = State(zeros, state.extras)
    now = replace(ROUND, number=n_rounds, lr=task.local.rate(n_rounds, n_rounds))
    after = experiment.method.merge(task, state, now, iter([came_back(state, *c) for c in clients]))
    values = np.concatenate([a.ravel() for a in after.arrays.values()])
    assert values.dtype == np.float32
    assert (values == values[0]).all()
    return float(values[0])


def test_gradients_that_turn_round() -> None:
    """lr mu = 1.5 takes the parameters beyond their start and back, by halves: a gradient moves them by
    1, -1/2, 1/4. Weights count by their size: 1.75, with two steps 1.5.
    """
    assert [gradient_norm(n, lr=1.5, momentum=0.0, mu=1.0) for n in (1, 2, 3)] == [1.0, 1.5, 1.75]


def test_golden() -> None:
    """Equal clients, 2 and 4 steps of lr 0.1 from 0 to -0.2 and -0.8: d = (1, 2), tau_eff = 3, so
    w = 0 - 3 * 0.1 * 1.5 = -0.45. FedAvg gives -0.5.
    """
    assert merged({"lr": 0.1}, {}, [(-0.2, 2, 1), (-0.8, 4, 1)]) == pytest.approx(-0.45, rel=1e-6)


def test_weights_are_examples() -> None:
    """p = (1/4, 3/4): tau_eff = 0.5 + 3 = 3.5, sum p d = 0.25 + 1.5 = 1.75, w = -0.1 * 3.5 * 1.75 = -0.6125.

    With merge.weight clients p = (1/2, 1/2) and the golden -0.45; with trained_examples p = (2, 4) / 6,
    tau_eff = 10/3, sum p d = 5/3, w = -5/9; with macs, 2 steps of 6 and 4 of 12, p = (1/5, 4/5), tau_eff =
    3.6, sum p d = 1.8, w = -0.648.
    """
    clients = [(-0.2, 2, 1), (-0.8, 4, 3)]
    assert merged({"lr": 0.1}, {}, clients) == pytest.approx(-0.6125, rel=1e-6)
    assert merged({"lr": 0.1}, {}, clients, merge={"weight": "clients"}) == pytest.approx(-0.45, rel=1e-6)
    assert merged({"lr": 0.1}, {}, clients, merge={"weight": "trained_examples"}) == pytest.approx(
        -5 / 9, rel=1e-6
    )
    assert merged({"lr": 0.1}, {}, clients, merge={"weight": "macs"}) == pytest.approx(-0.648, rel=1e-6)


def test_momentum() -> None:
    """rho = 0.5: |a| = 1 after one step, 1 + 1.5 = 2.5 after two. From 0 to -0.1 and -0.5 with lr 0.1:
    d = (1, 2), tau_eff = (1 + 2.5) / 2 = 1.75, w = -0.1 * 1.75 * 1.5 = -0.2625.
    """
    local = {"lr": 0.1, "optimizer": {"momentum": 0.5}}
    assert merged(local, {}, [(-0.1, 1, 1), (-0.5, 2, 1)]) == pytest.approx(-0.2625, rel=1e-6)


def test_proximal_term_and_a_learning_rate_that_falls() -> None:
    """mu = 1: n <- n (1 - lr) + 1. With lr 0.1 |a| = 1 and 1.9; to -0.1 and -0.38 is d = (1, 2), and tau_eff
    is the mean number of steps 1.5: w = -0.1 * 1.5 * 1.5 = -0.225.

    In round 2 lr is 0.05: |a| = 1 and 1.95, to -0.05 and -0.195 is d = (1, 2) again, w = -0.05 * 2.25 =
    -0.1125. Without the term the learning rate cancels: the golden at any.
    """
    falls = {"lr": 0.1, "lr_schedule": {"name": "step", "milestones": [2], "factor": 0.5}}
    assert merged(falls, {"mu": 1.0}, [(-0.1, 1, 1), (-0.38, 2, 1)]) == pytest.approx(-0.225, rel=1e-6)
    second = merged(falls, {"mu": 1.0}, [(-0.05, 1, 1), (-0.195, 2, 1)], n_rounds=2)
    assert second == pytest.approx(-0.1125, rel=1e-6)
    for n_rounds in (1, 2):
        plain = merged(falls, {}, [(-0.2, 2, 1), (-0.8, 4, 1)], n_rounds=n_rounds)
        assert plain == pytest.approx(-0.45, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("mu", [0.0, 0.3, 2.0])
def test_norm_is_how_far_constant_gradients_go(momentum: float, mu: float) -> None:
    """Loss = the sum of W 1 + b: the gradient of every parameter is 1, and n steps of lr move each by lr |a|.

    Holds while no weight of a gradient is negative, as here; then |a| is their sum.
    """
    lr, n_steps = 0.1, 4
    module = nn.Sequential(nn.Linear(2, 3))
    structure = find_groups(module, torch.zeros(2, 2))
    engine = Engine(module, structure, momentum=momentum, dtype=torch.float64)
    before = engine.export()
    x, y = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    for _ in range(n_steps):
        engine.step(x, y, None, lr, lambda outputs, y: outputs.sum(), proximal=mu)
    for name, array in engine.export().items():
        moved = before[name] - array
        np.testing.assert_allclose(moved, lr * gradient_norm(n_steps, lr, momentum, mu), rtol=1e-12)


def test_closed_forms_of_the_norm() -> None:
    """Plain: n. Momentum: sum of (1 - rho^k) / (1 - rho). Proximal: n <- n (1 - lr mu) + 1."""
    assert gradient_norm(7, 0.1, 0.0, 0.0) == 7
    by_hand = sum((1 - 0.9**k) / (1 - 0.9) for k in range(1, 8))
    assert gradient_norm(7, 0.1, 0.9, 0.0) == pytest.approx(by_hand, rel=1e-12)
    recursion = 0.0
    for _ in range(7):
        recursion = recursion * (1 - 0.1 * 0.3) + 1
    assert gradient_norm(7, 0.1, 0.0, 0.3) == pytest.approx(recursion, rel=1e-12)


def test_equal_steps_are_fedavg() -> None:
    """All do the same number of steps: the same model as FedAvg, to float32 rounding."""
    same = {"partition": {"name": "iid"}, "profile": UNLIMITED}
    nova = play(2, **same, method={"name": "fednova"}).states[-1]
    fedavg = play(2, **same, method={"name": "fedavg"}).states[-1]
    for name, value in fedavg.arrays.items():
        np.testing.assert_allclose(nova.arrays[name], value, rtol=1e-4, atol=1e-6)


def test_unequal_steps_are_not() -> None:
    nova = play(1, profile=UNLIMITED, method={"name": "fednova"})
    assert nova.model != play(1, profile=UNLIMITED, method={"name": "fedavg"}).model
