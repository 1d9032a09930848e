"""What links and availabilities promise: the contract, on every bundled file, and their distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bundled import example, plugin

from distreal_sim.base.plugins import names
from distreal_sim.base.rng import Rngs
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.availability.always import Always
from distreal_sim.devices.availability.random import Random
from distreal_sim.devices.devices import Devices
from distreal_sim.devices.links import Link, Links
from distreal_sim.devices.links.constant import Constant
from distreal_sim.devices.links.unlimited import Unlimited
from distreal_sim.devices.profiles.constant import Constant as ConstantProfile
from distreal_sim.devices.rngs import ClientRngs, bulk


def of(links: Links | None = None, availability: Availability | None = None) -> Devices:
    return Devices(4, 10.0, 1.0, ConstantProfile(), links or Unlimited(), availability or Always())


@pytest.mark.parametrize("name", names(Links))
def test_links(name: str) -> None:
    """Positive speeds, the same whenever they are asked for, and none below the declared slowest."""
    links = plugin(Links, name, example(Links, name))
    for client_id in range(50):
        rng = Rngs(4, (client_id,))
        link = links.link(client_id, rng)
        assert link == links.link(client_id, rng)
        for speed, slowest in zip(link, links.slowest(), strict=True):
            assert speed >= slowest > 0


def test_speeds() -> None:
    rng = Rngs(4, (0,))
    assert Unlimited().link(0, rng) == Link(math.inf, math.inf)
    assert Constant(download_bytes_per_s=3, upload_bytes_per_s=2).link(0, rng) == Link(3, 2)


@pytest.mark.parametrize("name", names(Availability))
def test_availability_is_a_function_of_client_and_round(name: str) -> None:
    availability = plugin(Availability, name, example(Availability, name))
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


@pytest.mark.parametrize("name", names(Links))
def test_links_of_many_are_those_of_each(name: str) -> None:
    devices, client_ids = of(links=plugin(Links, name, example(Links, name))), np.arange(30)
    assert bulk(devices.links.link) is not None
    pairs = zip(*devices.speeds(client_ids), strict=True)
    assert [Link(*pair) for pair in pairs] == [devices.link(c) for c in client_ids.tolist()]


@pytest.mark.parametrize("name", names(Availability))
def test_availability_of_many_is_that_of_each(name: str) -> None:
    devices = of(availability=plugin(Availability, name, example(Availability, name)))
    assert bulk(devices.availability.available) is not None
    client_ids = np.arange(300)
    there = devices.available(client_ids, 7)
    assert there.tolist() == [bool(devices.available(client_ids[c : c + 1], 7)[0]) for c in client_ids]
    one = [devices.availability.available(c, 7, ClientRngs(4, "availability", c)) for c in range(300)]
    assert there.tolist() == one
