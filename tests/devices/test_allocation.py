"""Speed and power: closed forms by hand, against grids and a two-dimensional search, and in a run."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from rounds import Rows, play
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.config.build import build
from distreal_sim.devices.controllers import Work
from distreal_sim.devices.controllers.allocation import Allocation, Choices, best_power_w
from distreal_sim.devices.energy.cubic import Cubic
from distreal_sim.devices.energy.points import Points
from distreal_sim.devices.links import Use
from distreal_sim.simulation.clock.rounds import run_clock
from distreal_sim.simulation.rounds import start

CUBIC = Cubic(kappa=1e-28, macs_per_cycle=1.0)
SLOWEST = 0.1


def fleet(n: int = 6, seed: int = 0, most_bytes_per_s: float = math.inf) -> Work:
    """n unlike devices of 1 to 3 GHz, with some 10 s of work and some 10 s of sending at full power."""
    rng = np.random.default_rng(seed)
    return Work(
        macs=rng.uniform(5e9, 5e10, n),
        macs_per_s=rng.uniform(1e9, 3e9, n),
        download_s=rng.uniform(0, 1, n),
        upload_bytes=np.full(n, 1e6),
        bandwidth_hz=np.full(n, 1e6),
        gain_per_w=rng.uniform(5, 100, n),
        least_w=np.full(n, 0.01),
        most_w=np.full(n, 1.0),
        most_bytes_per_s=np.full(n, most_bytes_per_s),
        latency_s=np.zeros(n),
    )


def time_and_energy(work: Work, share: Any, power_w: Any) -> tuple[np.ndarray, np.ndarray]:
    """A twin: seconds and joules of the usual model, cycle by cycle; arrays (m,) or (m, ...)."""
    f = share * work.macs_per_s
    rate = np.minimum(work.bandwidth_hz * np.log2(1 + work.gain_per_w * power_w), 8 * work.most_bytes_per_s)
    upload_s = 8 * work.upload_bytes / rate
    return work.download_s + work.macs / f + upload_s, 1e-28 * work.macs * f**2 + power_w * upload_s


def test_by_hand() -> None:
    """A second worth 1 W: (1 / 2e-28)^(1/3) Hz = 1.70998 GHz; at a gain of 100 / W 0.366619 W.

    At 4 MACs a cycle four times as many MAC/s. Where both cannot be done, what can be.
    """
    assert CUBIC.best_speed(1.0, 1e12) == pytest.approx(1.70998e9, rel=1e-5)
    assert Cubic(kappa=1e-28, macs_per_cycle=4.0).best_speed(1.0, 1e12) == pytest.approx(
        4 * 1.70998e9, rel=1e-5
    )
    assert CUBIC.best_speed(1.0, 1e9) == 1e9
    assert best_power_w(np.array([100.0]), np.array([1.0]))[0] == pytest.approx(0.366619, abs=5e-7)
    assert best_power_w(np.array([100.0]), np.array([0.0]))[0] == pytest.approx(0, abs=1e-6)


def test_no_point_of_a_grid_is_cheaper() -> None:
    """20,001 speeds and powers, 40 random gains and prices; within the box the slope is 0."""
    rng, share = np.random.default_rng(3), np.linspace(1e-4, 1, 20_001)
    for gain, price in zip(10 ** rng.uniform(0, 3, 40), 10 ** rng.uniform(-2, 1, 40), strict=True):
        f, power = 3e9 * share, 2.0 * share
        of_cycle = (price + 1e-28 * f**3) / f
        best = CUBIC.best_speed(price, 3e9)
        assert (price + 1e-28 * best**3) / best <= of_cycle.min() * (1 + 1e-12)
        if best < 3e9:
            assert 2e-28 * best - price / best**2 == pytest.approx(0, abs=1e-12 * price / best**2)
        of_bit = (price + power) / np.log2(1 + gain * power)
        own = min(2.0, best_power_w(np.array([gain]), np.array([price]))[0])
        assert (price + own) / np.log2(1 + gain * own) <= of_bit.min() * (1 + 1e-12)
        if own < 2.0:
            slope = np.log1p(gain * own) - (price + own) * gain / (1 + gain * own)
            assert slope == pytest.approx(0, abs=1e-9)


def test_points_are_tried_one_by_one() -> None:
    """1 GHz at 0.5 W, 2 GHz at 4 W, 0.5 W static. A second worth 0: 1 and 2.25 nJ a MAC; worth 4 W: 5 and
    4.25. At a capacity of 1.5 GHz, 3.5 W in the mean: (4 + 3.5) / 1.5 = 5 nJ, no better than 5.
    """
    points = Points(points=((1e9, 1.0), (2e9, 2.0)), capacitance_f=0.5e-9, static_w=0.5, macs_per_cycle=1.0)
    assert [points.best_speed(price, 2e9) for price in (0.0, 4.0)] == [1e9, 2e9]
    assert points.best_speed(3.0, 1.5e9) == 1e9
    assert points.best_speed(9.0, 1.5e9) == 1.5e9


@pytest.mark.parametrize("most_bytes_per_s", [math.inf, 4e5], ids=["radio", "tcp"])
def test_device_goal_against_a_search(most_bytes_per_s: float) -> None:
    """Each device's own cost under a deadline that binds for some: no pair of 400 x 400 is cheaper, and all
    that can are done in time. Behind TCP no power is higher than the network takes, but for the least.
    """
    work, deadline_s = fleet(most_bytes_per_s=most_bytes_per_s), 17.0
    share, power_w = Allocation(goal="device", time_weight=0.3).settings(work, CUBIC, deadline_s)
    own_s, own_j = time_and_energy(work, share, power_w)
    fastest_s, _ = time_and_energy(work, 1.0, 1.0)
    assert ((own_s <= deadline_s * (1 + 1e-9)) == (fastest_s <= deadline_s)).all()
    shares, powers = np.linspace(SLOWEST, 1, 400)[:, None, None], np.linspace(0.01, 1, 400)[None, :, None]
    every_s, every_j = time_and_energy(work, shares, powers)
    cost = np.where(every_s <= deadline_s, 0.3 * every_s + every_j, np.inf).min(axis=(0, 1))
    assert (fastest_s <= deadline_s).sum() >= 3
    assert (0.3 * own_s + own_j <= cost * (1 + 1e-9))[fastest_s <= deadline_s].all()
    assert (share[fastest_s > deadline_s] == 1).all()
    if most_bytes_per_s < math.inf:
        assert (
            work.bandwidth_hz * np.log2(1 + work.gain_per_w * power_w) <= 8 * most_bytes_per_s * 1.001
        ).all()


def test_a_dearer_second_never_lengthens_the_round() -> None:
    """Lengths fall and joules rise with time_weight; no other weight's settings cost less."""
    work, found = fleet(), []
    weights = (0.01, 0.1, 1.0, 10.0)
    for weight in weights:
        settings = Allocation(goal="round", time_weight=weight).settings(work, CUBIC, 1000.0)
        own_s, own_j = time_and_energy(work, *settings)
        found.append((own_s.max(), own_j.sum()))
    lengths, joules = zip(*found, strict=True)
    assert list(lengths) == sorted(lengths, reverse=True)
    assert list(joules) == sorted(joules)
    assert lengths[0] > 2 * lengths[-1]
    for weight, (own_s, own_j) in zip(weights, found, strict=True):
        least = min(weight * s + j for s, j in found)
        assert weight * own_s + own_j <= least * (1 + 1e-6)


def test_slack_is_reclaimed() -> None:
    """The round is as short as at full speed and power, and takes less energy; all but the last slow down.

    Of equal devices none has slack: the last one of all is as fast as it can be.
    """
    work = fleet()
    share, power_w = Allocation().settings(work, CUBIC, 1000.0)
    full_s, full_j = time_and_energy(work, 1.0, 1.0)
    own_s, own_j = time_and_energy(work, share, power_w)
    np.testing.assert_allclose(own_s.max(), full_s.max(), rtol=1e-9)
    assert own_j.sum() < 0.9 * full_j.sum()
    assert (own_j < 0.99 * full_j).sum() == 5
    last = full_s.argmax()
    assert [share[last], power_w[last]] == pytest.approx([1.0, 1.0])


def test_energy_rises_as_the_choices_say() -> None:
    """`Choices` counts as the twin does."""
    work, price = fleet(), np.array([0.0, 0.01, 0.1, 1.0, 10.0, 1e30])
    choices = Choices(work, CUBIC, SLOWEST)
    own_s, own_j = time_and_energy(work, choices.speed(price) / work.macs_per_s, choices.power_w(price))
    np.testing.assert_allclose(choices.time_s(price), own_s)
    np.testing.assert_allclose(choices.energy_j(price), own_j)


WORLD: dict[str, Any] = {
    "method": {"name": "fedavg"},
    "energy": {"name": "cubic", "kappa": 1e-10, "macs_per_cycle": 4.0},
    "profile": {"name": "tiers", "levels": [1.0, 2.0, 4.0]},
    "link": {
        "name": "shannon",
        "bandwidth_hz": 1e5,
        "gain_per_w": [10.0, 100.0],
        "download_bytes_per_s": 1e6,
    },
    "overrun": "wait",
    "round_end": "early",
    "n_clients": 6,
    "clients_per_round": 6,
}


def test_in_a_run() -> None:
    """Rounds of the same length with less energy; joules of a client are those of the twin's formulas.

    The model that is trained is the same, bit for bit, since time alone changes; and the clock alone gives
    the same rows.
    """
    full, slack = (play(2, **WORLD, **own) for own in ({}, {"controller": "allocation"}))
    assert [r.sim_s for r in slack.rounds] == pytest.approx([r.sim_s for r in full.rounds], rel=1e-9)
    assert slack.model == full.model
    assert slack.rounds[-1].more["energy_j"] < 0.8 * full.rounds[-1].more["energy_j"]
    task = slack.task
    assert {r.metrics["speed_share"] > 0.999999 for r in slack.clients} == {True, False}
    for r in slack.clients:
        start_s = slack.rounds[r.round - 2].sim_s if r.round > 1 else 0.0
        radio = task.devices.radio(r.client_id, Use(r.round, start_s, 6))
        assert radio is not None
        f = r.metrics["speed_share"] * task.devices.capacity(r.client_id, start_s)(0.0) / 4.0
        upload_s = 8 * r.upload_bytes / (1e5 * math.log2(1 + radio.gain_per_w * r.metrics["sending_w"]))
        assert r.sim_s == pytest.approx(r.download_bytes / 1e6 + r.macs / 4.0 / f + upload_s)
        assert r.metrics["compute_j"] == pytest.approx(1e-10 * f**2 * r.macs / 4.0)
        assert r.metrics["radio_j"] == pytest.approx(r.metrics["sending_w"] * upload_s)


def test_the_clock_alone_gives_the_same_rows() -> None:
    experiment = toy(rounds=2, **WORLD, controller="allocation")
    task, rows = dataclasses.replace(build(experiment), computes=False), Rows()
    run_clock(experiment, task, start(experiment, task), rows)
    trained = play(2, **WORLD, controller="allocation").clients
    plain = [dataclasses.replace(r, train_loss=0.0) for r in rows.clients]
    assert [repr(r) for r in plain] == [repr(dataclasses.replace(r, train_loss=0.0)) for r in trained]


def test_refused() -> None:
    with pytest.raises(InputError, match="controller allocation weighs energy, and energy none counts none"):
        toy(controller="allocation")
