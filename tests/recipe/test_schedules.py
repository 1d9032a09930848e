"""Learning-rate schedules."""

from __future__ import annotations

import pytest
from toys import TOY, toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.client.settings import Local
from distreal_sim.recipe.schedules import Schedule
from distreal_sim.recipe.schedules.constant import Constant
from distreal_sim.recipe.schedules.cosine import Cosine
from distreal_sim.recipe.schedules.exponential import Exponential
from distreal_sim.recipe.schedules.linear import Linear
from distreal_sim.recipe.schedules.step import Step


def rates(schedule: Schedule, lr: float, rounds: int) -> list[float]:
    local = Local(epochs=1, lr=lr, lr_schedule=schedule)
    return [local.rate(r, rounds) for r in range(1, rounds + 1)]


def test_constant() -> None:
    assert set(rates(Constant(), 0.3, 9)) == {0.3}


def test_cosine() -> None:
    """From 0.5 to 0.1 over 5 rounds: 0.1 + 0.4 (1 + cos(pi (r - 1) / 4)) / 2. At r = 3 the cosine is 0, at
    r = 2 and 4 it is +-sqrt(1/2).
    """
    half = 0.2 * 0.5**0.5
    expected = [0.5, 0.3 + half, 0.3, 0.3 - half, 0.1]
    assert rates(Cosine(final=0.1), 0.5, 5) == pytest.approx(expected, abs=1e-12)
    assert rates(Cosine(final=0.1), 0.5, 1) == [0.5]


def test_linear() -> None:
    """From 0.5 to 0.1 in four equal parts."""
    assert rates(Linear(final=0.1), 0.5, 5) == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
    assert rates(Linear(final=0.1), 0.5, 1) == [0.5]


def test_step() -> None:
    """0.8, halved in rounds 3 and 5."""
    schedule = Step(milestones=(3, 5), factor=0.5)
    assert rates(schedule, 0.8, 6) == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.2])


def test_exponential() -> None:
    """0.8, halved from round to round."""
    assert rates(Exponential(factor=0.5), 0.8, 4) == pytest.approx([0.8, 0.4, 0.2, 0.1])


def test_warm_up() -> None:
    """Two rounds at 1/3 and 2/3 of 0.6, then the schedule from 0.6 on: linear over the last three rounds to
    0, halved in each of them; milestones are rounds of the run, so that of round 4 halves from there on.
    """
    up = [0.2, 0.4]
    assert rates(Linear(warmup_rounds=2), 0.6, 5) == pytest.approx([*up, 0.6, 0.3, 0.0])
    assert rates(Exponential(factor=0.5, warmup_rounds=2), 0.6, 5) == pytest.approx([*up, 0.6, 0.3, 0.15])
    assert rates(Step(milestones=(4,), factor=0.5, warmup_rounds=2), 0.6, 5) == pytest.approx(
        [*up, 0.6, 0.3, 0.3]
    )
    assert rates(Constant(warmup_rounds=2), 0.6, 2) == pytest.approx(up)


@pytest.mark.parametrize("name", names(Schedule))
def test_every_schedule_starts_at_lr_after_its_warm_up(name: str) -> None:
    """At round w + 1, and rates are never negative or above lr."""
    options = {"milestones": (5,)} if name == "step" else {}
    found = rates(load(Schedule, name)(warmup_rounds=3, **options), 0.4, 9)
    assert found[3] == pytest.approx(0.4, rel=1e-12)
    assert all(0 <= rate <= 0.4 * (1 + 1e-12) for rate in found)


def test_in_a_config() -> None:
    """By name, with options, and as it is written into config.yaml; the name alone keeps known options."""
    local = {**TOY["local"], "lr_schedule": {"name": "cosine", "final": 0.01}}
    experiment = toy(local=local)
    assert experiment.local.lr_schedule == Cosine(final=0.01)
    assert experiment.resolved()["local"]["lr_schedule"] == {
        "name": "cosine",
        "warmup_rounds": 0,
        "final": 0.01,
    }
    assert toy(local={**TOY["local"], "lr_schedule": "linear"}).local.lr_schedule == Linear()
    with pytest.raises(InputError, match=r"local\.lr_schedule\.name: .*'cosin'.*did you mean 'cosine'"):
        toy(local={**TOY["local"], "lr_schedule": "cosin"})
    with pytest.raises(InputError, match=r"local\.lr_schedule\.milestones' is missing"):
        toy(local={**TOY["local"], "lr_schedule": "step"})
