"""What links and availabilities promise: the contract, on every bundled file, and their distributions.

Clocks of links by hand: see test_link_clocks.py.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from bundled import example, plugin
from traces import with_traces

from distreal_sim.base.plugins import names
from distreal_sim.base.rng import Rngs
from distreal_sim.devices.availability import Availability, Presences
from distreal_sim.devices.availability.always import Always
from distreal_sim.devices.availability.random import Random
from distreal_sim.devices.devices import Devices
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links.constant import Constant
from distreal_sim.devices.links.unlimited import Unlimited
from distreal_sim.devices.profiles.constant import Constant as ConstantProfile
from distreal_sim.devices.rngs import ClientRngs, bulk


def of(links: Links | None = None, availability: Availability | None = None) -> Devices:
    return Devices(4, 10.0, 1.0, ConstantProfile(), links or Unlimited(), availability or Always())


def uses(n: int) -> list[Use]:
    return [Use(number, 10.0 * (number - 1), 5) for number in range(1, n + 1)]


@pytest.mark.parametrize("name", names(Links))
def test_links(name: str, tmp_path: Path) -> None:
    """The same times whenever they are asked for; more bytes never take less, and nobody expects more than
    of the declared slowest link.
    """
    links = plugin(Links, name, with_traces(example(Links, name), tmp_path))
    slowest = links.slowest()
    for client_id in range(50):
        rng = Rngs(4, (client_id,))
        for use in uses(3):
            link, again = links.link(client_id, use, rng), links.link(client_id, use, rng)
            assert link.is_steady == links.steady
            times = [(link.download_s(n), link.upload_s(n, 3.0)) for n in (1e3, 1e6)]
            assert times == [(again.download_s(n), again.upload_s(n, 3.0)) for n in (1e3, 1e6)]
            for small, large in zip(*times, strict=True):
                assert 0 <= small <= large < math.inf
            assert 0 <= link.expected_upload_s(1e6) <= slowest.upload_s(1e6) < math.inf
            if links.steady:
                assert link.download_s(1e6) <= slowest.download_s(1e6)
                assert link.expected_upload_s(1e6) == link.upload_s(1e6, 7.0)


def test_speeds() -> None:
    rng, use = Rngs(4, (0,)), Use(1, 0.0, 1)
    assert Unlimited().link(0, use, rng) == Link(math.inf, math.inf)
    own = Constant(download_bytes_per_s=3, upload_bytes_per_s=2, latency_s=0.5).link(0, use, rng)
    assert own == Link(3, 2, 0.5)
    assert (own.download_s(6), own.upload_s(6)) == (2.5, 3.5)


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
def test_links_of_many_are_those_of_each(name: str, tmp_path: Path) -> None:
    """To the last bit, for clients in several rounds."""
    devices = of(links=plugin(Links, name, with_traces(example(Links, name), tmp_path)))
    assert (bulk(devices.links.link) is not None) == devices.links.steady
    client_ids, numbers = np.arange(30) % 10, np.arange(30) // 10 + 1
    many = devices.links_of(client_ids, Use(numbers, 10.0 * numbers, numbers + 3))
    n_bytes = 1e4 * (1 + np.arange(30))
    each = [
        devices.link(c, Use(n, 10.0 * n, n + 3))
        for c, n in zip(client_ids.tolist(), numbers.tolist(), strict=True)
    ]
    pairs = list(zip(each, n_bytes.tolist(), strict=True))
    assert many.download_s(n_bytes).tolist() == [one.download_s(n) for one, n in pairs]
    assert many.upload_s(n_bytes, n_bytes / 1e4).tolist() == [one.upload_s(n, n / 1e4) for one, n in pairs]
    assert many.expected_upload_s(n_bytes).tolist() == [one.expected_upload_s(n) for one, n in pairs]


@pytest.mark.parametrize("name", names(Availability))
def test_availability_of_many_is_that_of_each(name: str) -> None:
    devices = of(availability=plugin(Availability, name, example(Availability, name)))
    assert bulk(devices.availability.available) is not None
    client_ids = np.arange(300)
    there = devices.available(client_ids, 7, 35.0)
    assert there.tolist() == [bool(devices.available(client_ids[c : c + 1], 7, 35.0)[0]) for c in client_ids]
    own = devices.availability
    one = [own.available(c, 7, ClientRngs(4, "availability", c)) for c in range(300)]
    if isinstance(own, Presences):
        assert bulk(own.presence) is not None
        lines = [own.presence(c, ClientRngs(4, "availability", c), 10.0) for c in range(300)]
        one = [able and line.piece(35.0)[0] > 0 for able, line in zip(one, lines, strict=True)]
    assert there.tolist() == one
