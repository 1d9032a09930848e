"""The devices of the clients: keys of their draws, and plug-ins that know one client only."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from distreal_sim.base.rng import generator
from distreal_sim.devices.availability import Availability
from distreal_sim.devices.availability.random import Random
from distreal_sim.devices.devices import Devices
from distreal_sim.devices.links import Link, Links, Use
from distreal_sim.devices.links.unlimited import Unlimited
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.profiles.uniform import Uniform
from distreal_sim.devices.rngs import Keyed


class OwnLinks(Links):
    """A speed for each client, of generators that know more than `random`."""

    def link(self, client_id: int, use: Use, rng: Keyed) -> Link:
        return Link(1 + rng("down").exponential(), 1 + client_id)

    def slowest(self) -> Link:
        return Link(1, 1)


class OwnAvailability(Availability):
    def available(self, client_id: int, round_number: int, rng: Keyed) -> bool:
        return rng("there", round_number).normal() > 0


class OwnUniform(Uniform):
    """Answers for one client only, unlike the profile that it extends."""

    def timeline(self, client_id: Any, rng: Any, deadline_s: float) -> Any:
        assert isinstance(client_id, int)
        return Steady(3.0 + client_id)


class OwnProfile(Profile):
    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(rng("level").exponential())

    def lower_bound(self) -> float:
        return 0.0


DEVICES = Devices(7, 10.0, 2.0, Uniform(low=0.1, high=1.1), Unlimited(), Random(share=0.5))
IDS = np.array([5, 2, 5, 9])
USE = Use(1, 0.0, 4)


def test_draws_have_the_key_of_seed_kind_and_client() -> None:
    """The capacity is 2 MAC/s x (0.1 + 1.0 x u), u the number of (seed, "profile base", client); a client is
    there in round 3 where that of (seed, "availability available", client, round) is below a half.
    """
    levels = [0.1 + (1.1 - 0.1) * generator(7, "profile base", c).random() for c in IDS.tolist()]
    assert [DEVICES.capacity(c, 50.0)(1.0) for c in IDS.tolist()] == [2.0 * level for level in levels]
    assert DEVICES.capacities(IDS, np.full(4, 50.0)).macs_per_s.tolist() == [2.0 * level for level in levels]
    there = [generator(7, "availability available", c, 3).random() < 0.5 for c in IDS.tolist()]
    assert DEVICES.available(IDS, 3, 0.0).tolist() == there


def test_plugins_that_know_one_client_are_asked_one_by_one() -> None:
    """Of many clients the answers are those of each; a link's draws have the kind "network"."""
    own = dataclasses.replace(DEVICES, profile=OwnProfile(), links=OwnLinks(), availability=OwnAvailability())
    levels = [generator(7, "profile level", c).exponential() for c in IDS.tolist()]
    assert own.capacities(IDS, np.zeros(4)).macs_per_s.tolist() == [2.0 * level for level in levels]
    assert [own.capacity(c, 0.0)(0.0) for c in IDS.tolist()] == [2.0 * level for level in levels]
    down, up, _ = own.links_of(IDS, USE)
    assert down.tolist() == [1 + generator(7, "network down", c).exponential() for c in IDS.tolist()]
    assert up.tolist() == [6, 3, 6, 10]
    there = [generator(7, "availability there", c, 4).normal() > 0 for c in IDS.tolist()]
    assert own.available(IDS, 4, 0.0).tolist() == there


def test_a_new_method_for_one_client_is_not_asked_for_many() -> None:
    """It overrides one with the mark, and has none itself."""
    own = dataclasses.replace(DEVICES, profile=OwnUniform())
    assert own.capacities(IDS, np.zeros(4)).macs_per_s.tolist() == [2.0 * (3 + c) for c in IDS.tolist()]


def test_nobody() -> None:
    none = np.array([], np.int64)
    able = DEVICES.available(none, 1, 0.0)
    assert DEVICES.capacities(none, np.zeros(0)).macs_per_s.shape == able.shape == (0,)
    assert DEVICES.links_of(none, USE).download_s(none).shape == (0,)


@pytest.mark.parametrize("clients", [IDS, np.array([2])])
def test_a_number_that_all_share(clients: np.ndarray) -> None:
    """Plug-ins may give one number for all: durations have the clients' shape."""
    link = DEVICES.links_of(clients, USE)
    assert link.download_s(np.ones(len(clients))).tolist() == [0.0] * len(clients)
    assert link.upload_s(np.ones(len(clients)), 0.0).tolist() == [0.0] * len(clients)
