"""What networks and availabilities promise: the contract, on every bundled file, and their distributions."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from distreal_sim.base.plugins import load, names
from distreal_sim.base.rng import Rngs
from distreal_sim.base.rng_many import streams
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.availability.random import Random
from distreal_sim.devices.links import Link, Network
from distreal_sim.devices.links.constant import Constant
from distreal_sim.devices.links.unlimited import Unlimited

NETWORKS: dict[str, dict[str, Any]] = {
    "unlimited": {},
    "constant": {"download_bytes_per_s": 2e6, "upload_bytes_per_s": 5e5},
}
AVAILABILITIES: dict[str, dict[str, Any]] = {"always": {}, "random": {"share": 0.3}}


@pytest.mark.parametrize("name", names(Network))
def test_links(name: str) -> None:
    """Positive speeds, the same whenever they are asked for, and none below the declared slowest."""
    network = load(Network, name).model_validate(NETWORKS[name])
    for client_id in range(50):
        rng = Rngs(4, (client_id,))
        link = network.link(client_id, rng)
        assert link == network.link(client_id, rng)
        for speed, slowest in zip(link, network.slowest(), strict=True):
            assert speed >= slowest > 0


def test_speeds() -> None:
    rng = Rngs(4, (0,))
    assert Unlimited().link(0, rng) == Link(math.inf, math.inf)
    assert Constant(download_bytes_per_s=3, upload_bytes_per_s=2).link(0, rng) == Link(3, 2)


@pytest.mark.parametrize("name", names(Availability))
def test_availability_is_a_function_of_client_and_round(name: str) -> None:
    availability = load(Availability, name).model_validate(AVAILABILITIES[name])
    keys = [(client_id, number) for client_id in range(20) for number in range(1, 20)]
    there = {(c, r): availability.available(c, r, Rngs(4, (c,))) for c, r in keys}
    assert {(c, r): availability.available(c, r, Rngs(4, (c,))) for c, r in reversed(keys)} == there
    assert any(there.values())


def test_random_availability_is_independent() -> None:
    """100 clients in 100 rounds with probability 0.3: every client's and every round's share is within
    5 sqrt(0.3 * 0.7 / 100) = 0.23, the whole within 0.023; neighbours in either direction are uncorrelated
    to within 5 / 100.
    """
    random = Random(share=0.3)
    rounds = range(1, 101)
    there = np.array([[random.available(c, r, Rngs(4, (c,))) for r in rounds] for c in range(100)], float)
    assert there.mean() == pytest.approx(0.3, abs=0.023)
    assert np.abs(there.mean(axis=0) - 0.3).max() < 0.23
    assert np.abs(there.mean(axis=1) - 0.3).max() < 0.23
    for a, b in ((there[1:], there[:-1]), (there[:, 1:], there[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05


def test_everybody_can_be_there() -> None:
    assert all(Random(share=1.0).available(c, 1, Rngs(4, (c,))) for c in range(1000))


@pytest.mark.parametrize("name", names(Network))
def test_links_of_many_are_those_of_each(name: str) -> None:
    network, client_ids = load(Network, name).model_validate(NETWORKS[name]), np.arange(30)
    speeds = network.links(client_ids, partial(streams, 4))
    assert speeds is not None
    assert [Link(*pair) for pair in zip(*speeds, strict=True)] == [
        network.link(c, Rngs(4, (c,))) for c in client_ids
    ]


@pytest.mark.parametrize("name", names(Availability))
def test_availability_of_many_is_that_of_each(name: str) -> None:
    availability, client_ids = load(Availability, name).model_validate(AVAILABILITIES[name]), np.arange(300)
    there = availability.available_many(client_ids, 7, partial(streams, 4))
    assert there is not None
    assert there.tolist() == [availability.available(int(c), 7, Rngs(4, (int(c),))) for c in client_ids]
