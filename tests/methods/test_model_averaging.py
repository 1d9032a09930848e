"""Parallel restarted SGD: numbers of steps, and what averaging does to parabolas, derived by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rounds import play
from toys import TOY
from worlds import parabolas, played, weights, world

from distreal_sim.base.errors import InputError
from distreal_sim.methods.model_averaging import steps_by_theory

LR = 0.05


def averaging(**options: Any) -> dict[str, Any]:
    return {"name": "model_averaging", **options}


def test_one_step_each_is_mini_batch_sgd_on_all_their_examples() -> None:
    """I = 1, all take part, plain SGD: one step on the union of the twelve batches."""
    local = {"steps": 1, "batch_size": 200, "lr": 0.1}
    profile = {"name": "constant", "level": "inf"}
    run = play(
        1,
        local=local,
        profile=profile,
        model={"name": "logistic"},
        clients_per_round=12,
        method=averaging(),
    )
    task, before, after = run.task, run.states[0].arrays, run.states[1].arrays
    x, y = task.batch(task.data.train, np.concatenate([task.split[client] for client in range(12)]))
    module = task.module
    module.load_state_dict({name: torch.tensor(np.array(value)) for name, value in before.items()})
    F.cross_entropy(module(x), y).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        step = (parameter - 0.1 * parameter.grad).detach().numpy()
        np.testing.assert_allclose(after[name], step, atol=1e-6)


def test_local_steps_of_all_are_fedavg() -> None:
    """`steps: local` with a plain mean is FedAvg, bit for bit."""
    assert play(2, method=averaging()).model == play(2, method={"name": "fedavg"}).model


def test_steps_by_theory() -> None:
    """floor(T^(1/4) / N^(3/4)): 10 / 2.83 = 3.5; 4 from T = 256 on; never 0."""
    assert steps_by_theory(10_000, 4) == 3
    assert [steps_by_theory(total, 1) for total in (255, 256)] == [3, 4]
    assert steps_by_theory(100, 50) == 1


def test_rounds_by_theory() -> None:
    """T = 17 and N = 1: I = 2, so ceil(17 / 2) = 9 rounds, and 17 steps in all."""
    one = {"clients_per_round": 1, "method": averaging(steps="theory", total_steps=17)}
    run = played(world([1], {"name": "rounds"}, rounds=9, **one))
    assert [row.n_steps_done for row in run.clients] == [2] * 8 + [1]
    with pytest.raises(
        InputError, match=r"rounds \(8\) must be 9: method\.total_steps \(17\) in rounds of 2"
    ):
        played(world([1], {"name": "rounds"}, rounds=8, **one))
    with pytest.raises(InputError, match="total_steps must be given"):
        world([1], {"name": "rounds"}, method=averaging(steps="theory"))


def test_steps_in_time() -> None:
    """A batch of 16 takes clients 1, 2, 3 and 9 s of 8 s: 8, 4 and 2 steps; the last begins one in vain."""
    changes = {"rounds": 1, "method": averaging(steps="deadline")}
    run = played(world([1, 2, 3, 9], {"name": "rounds"}, **changes))
    assert [(row.n_steps_planned, row.n_steps_done) for row in run.clients] == [
        (8, 8),
        (4, 4),
        (2, 2),
        (1, 0),
    ]
    assert [row.status for row in run.clients] == ["completed"] * 3 + ["dropped"]


def test_steps_in_time_of_unequal_batches() -> None:
    """Epochs of 16 examples in batches of 12 and 4: an epoch lasts 4.5 s, and 12 more 3.375 s."""
    local = {"epochs": 1, "batch_size": 12, "lr": 0.1}
    changes = {"rounds": 1, "local": local, "method": averaging(steps="deadline")}
    run = played(world([4.5], {"name": "rounds"}, **changes))
    assert [(row.n_steps_done, row.sim_s) for row in run.clients] == [(3, 7.875)]


def reached(of: float, scale: float, w: float, steps: int, lr: float = LR) -> float:
    """Local SGD on (w scale - of)^2 in closed form: the distance to of / scale shrinks by a factor a step."""
    best = of / scale
    return best + (w - best) * (1 - 2 * lr * scale**2) ** steps


def averaged(of: Sequence[float], scale: Sequence[float], w: float, steps: int) -> float:
    return float(np.mean([reached(y, x, w, steps) for y, x in zip(of, scale, strict=True)]))


def test_parabolas_of_one_curvature_do_not_care_when_they_are_averaged() -> None:
    """12 steps as 12 x 1, 3 x 4 and 1 x 12 rounds end in the same average, that of the closed form."""
    of, scale = [1.0, -3.0, 5.0], [1.0, 1.0, 1.0]
    for steps in (1, 4, 12):
        local = {"steps": steps, "batch_size": 1, "lr": LR}
        end = weights(parabolas(of, scale, local=local, rounds=12 // steps, method=averaging()))[-1]
        assert end == pytest.approx([reached(1.0, 1.0, 0.0, 12)], rel=1e-5)


def resting(of: Sequence[float], scale: Sequence[float], steps: int) -> float:
    """The average that a round does not change: w = mean of (best + (w - best) shrink^steps)."""
    best, shrink = np.array(of) / scale, (1 - 2 * LR * np.array(scale) ** 2) ** steps
    return float(((1 - shrink) * best).mean() / (1 - shrink).mean())


def test_bias_of_unequal_curvatures_grows_with_the_steps() -> None:
    """Minimum of (w - 1)^2 + (2 w + 2)^2: 2 (w - 1) + 4 (2 w + 2) = 0, w = -0.6.

    With lr 0.05 the factors a step are 0.9 and 0.6. One step rests in the minimum. Two rest where
    0.19 (1 - w) = 0.64 (1 + w), w = -0.45 / 0.83; the bias grows with every doubling, at first about
    linearly.
    """
    of, scale = [1.0, -2.0], [1.0, 2.0]
    rests = [resting(of, scale, steps) for steps in (1, 2, 4, 8)]
    assert rests[:2] == pytest.approx([-0.6, -0.45 / 0.83])
    bias = np.array(rests) + 0.6
    assert (np.diff(bias) > 0).all()
    assert 2 < bias[2] / bias[1] < 3.5
    for steps, w in zip((1, 2, 4, 8), rests, strict=True):
        local = {"steps": steps, "batch_size": 1, "lr": LR}
        found = weights(parabolas(of, scale, local=local, rounds=2, method=averaging()), w)
        assert np.ravel(found) == pytest.approx([w] * 3, abs=1e-6)


def test_a_plain_mean_is_drawn_to_fast_workers_and_a_normalised_one_is_not() -> None:
    """Best at 1 and -1, 4 steps against 1: from 0 to 0.3439 and -0.1 with a factor of 0.9 a step.

    Plain: 0.12195. Normalised: mean of 0.3439 / 4 and -0.1 times 2.5 steps, -0.01753; both want 0.
    """
    changes = {
        "profile": {"name": "worlds.Speeds", "of": [4.0, 1.0]},
        "local": {"steps": 1, "batch_size": 1, "lr": LR},
        "rounds": 1,
    }
    for how, expected in (("plain", 0.12195), ("normalised", -0.0175313)):
        method = averaging(steps="deadline", averaging=how)
        end = weights(parabolas([1.0, -1.0], [1.0, 1.0], method=method, **changes))[-1]
        assert end == pytest.approx([expected], rel=1e-5)


def test_linear_speed_up() -> None:
    """Mean |gradient|^2 x sqrt(N T) hardly depends on N, if the learning rate grows with sqrt(N / T).

    48 parabolas at once, y standard normal; gradient 2 (w - mean), lr = sqrt(N / T) / 2, T = 32, I = 2. A
    round turns the variance v of the average into q^4 v + 4 lr^2 (1 + q^2) / N with q = 1 - 2 lr, from 0 on:
    the products are 2.08, 2.40 and 3.09 for 1, 4 and 16 workers. Measured over 48 x 16 values.
    """
    n_steps, n_outputs = 32, 48
    noise = np.random.default_rng(3).normal(size=(480, n_outputs))
    best = noise.mean(axis=0)
    for n_workers, product in ((1, 2.08), (4, 2.40), (16, 3.09)):
        lr = float(np.sqrt(n_workers / n_steps) / 2)
        q, variance, total = 1 - 2 * lr, 0.0, 0.0
        for _ in range(n_steps // 2):
            variance = q**4 * variance + 4 * lr**2 * (1 + q**2) / n_workers
            total += 4 * variance / (n_steps // 2)
        assert total * np.sqrt(n_workers * n_steps) == pytest.approx(product, abs=0.01)
        experiment = parabolas(
            noise.tolist(),
            [1.0] * len(noise),
            partition={"name": "iid"},
            n_clients=n_workers,
            clients_per_round=n_workers,
            local={"steps": 2, "batch_size": 1, "lr": lr * n_outputs},
            rounds=n_steps // 2,
            evaluation={"every": 99},
            method=averaging(),
        )
        found = np.array(weights(experiment, best)[1:])
        measured = float(np.mean(4 * (found - best) ** 2) * np.sqrt(n_workers * n_steps))
        assert measured == pytest.approx(product, rel=0.2)


def test_equal_steps_with_momentum() -> None:
    """With momentum 0.9 a normalised mean of equal numbers of steps is the plain one, to rounding."""
    same = {
        "local": {**TOY["local"], "epochs": None, "steps": 3},
        "profile": {"name": "constant", "level": "inf"},
    }
    plain, normalised = (play(1, **same, method=averaging(averaging=how)) for how in ("plain", "normalised"))
    for name, value in plain.states[-1].arrays.items():
        np.testing.assert_allclose(normalised.states[-1].arrays[name], value, rtol=1e-4, atol=1e-6)
