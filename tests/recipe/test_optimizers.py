"""Optimizers in a config, and in a round; the arithmetic is tested with the engine."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from rounds import play
from torch import Tensor
from toys import SGD, TOY, toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.settings import Local
from distreal_sim.config import load_experiment
from distreal_sim.config.charges import setting_of
from distreal_sim.recipe.optimizers import Optimizer
from distreal_sim.recipe.optimizers.adam import Adam
from distreal_sim.recipe.optimizers.sgd import Sgd


def local(**changes: Any) -> dict[str, Any]:
    return {**TOY["local"], **changes}


def test_in_a_config() -> None:
    """By name, with options, by default; and another name keeps the options that both know."""
    adam = {"name": "adam", "beta1": 0.8}
    assert toy(local=local(optimizer=adam)).local.optimizer == Adam(beta1=0.8)
    assert toy(local=local(optimizer="adam")).resolved()["local"]["optimizer"]["name"] == "adam"
    assert toy(local={"epochs": 1}).local.optimizer == Sgd()
    assert toy(local=local(optimizer={"momentum": 0.5})).local.optimizer == Sgd(momentum=0.5)
    experiment, notes = load_experiment({**TOY, "local": local(optimizer=SGD)}, ["local.optimizer=adam"])
    assert experiment.local.optimizer == Adam(weight_decay=0.001)
    assert notes == []
    _, notes = load_experiment(TOY, ["local.optimizer.momentum=0.9", "local.optimizer=adam"])
    assert notes == ["local.optimizer.momentum=0.9 removed: local.optimizer adam has no such option"]
    with pytest.raises(InputError, match=r"local\.optimizer\.name: .*'adma'.*did you mean 'adam'"):
        toy(local=local(optimizer="adma"))
    with pytest.raises(InputError, match=r"local\.optimizer\.beta2 = 1\.0 must be less than 1"):
        toy(local=local(optimizer={"name": "adam", "beta2": 1.0}))


@pytest.mark.parametrize("name", names(Optimizer))
def test_a_measured_cost_belongs_to_a_rule(name: str) -> None:
    """The time of a step depends on which tensors of state are gathered, and on clipping."""
    plain = load(Optimizer, name)()
    setting = setting_of(Local(epochs=1, optimizer=plain))
    assert setting.optimizer == " ".join([name, *plain.states])
    assert (
        setting_of(Local(epochs=1, optimizer=plain, clip_norm=1)).optimizer == f"{setting.optimizer} clipped"
    )


class Signs(Optimizer):
    """A rule of the user's: signs of the gradient, and how often each element was stepped."""

    @property
    def states(self) -> tuple[str, ...]:
        return ("count",)

    def update(
        self, weights: list[Tensor], gradients: list[Tensor], states: Any, n_steps: Any, lr: float
    ) -> None:
        for weight, gradient, count in zip(weights, gradients, states["count"], strict=True):
            count += 1
            weight -= lr * gradient.sign() / count


def test_a_rule_of_the_users_starts_afresh_in_every_round() -> None:
    """Three full steps of a round move a weight by lr (1 +- 1/2 +- 1/3), so by at least lr / 6 and at most
    11/6 lr; in round 2 just so, because the state of round 1 is gone.
    """
    rounds = play(
        2,
        local={"steps": 3, "lr": 0.01, "optimizer": f"{__name__}.Signs"},
        method={"name": "fedavg"},
        profile={"name": "constant", "level": 4.0},
        clients_per_round=1,
    )
    for before, after in pairwise(rounds.states):
        moved = {name: abs(after.arrays[name] - array) for name, array in before.arrays.items()}
        for array in moved.values():
            steps = array[array > 0] / 0.01
            assert steps.max() <= 11 / 6 + 1e-4
            assert all(np.min(abs(s - np.array([1, 5, 7, 11]) / 6)) < 1e-3 for s in steps[:20])
        assert any((array > 0).any() for array in moved.values())
    assert torch.is_grad_enabled()
