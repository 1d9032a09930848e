"""Profiles of the user's own that would give wrong times, or none: one line with client and time."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
from pieces import Pieces
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.devices import profile_checks
from distreal_sim.devices.profile_checks import Checked
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.rngs import Keyed, for_many

Fault = Literal["none", "negative", "nan", "stands still", "goes back", "below", "no pair"]

FAULTS: dict[Fault, tuple[float, float]] = {
    "none": (0.5, math.inf),
    "negative": (-1.0, math.inf),
    "nan": (math.nan, math.inf),
    "stands still": (0.5, 20.0),
    "goes back": (0.5, 3.0),
    "below": (0.4, math.inf),
}
"""(level, end) from t = 20 s on."""

MESSAGES: dict[Fault, str] = {
    "negative": "the level is -1; it must be at least 0",
    "nan": "the level is nan; it must be at least 0",
    "stands still": "the level ends at 20 s; it must end after t",
    "goes back": "the level ends at 3 s; it must end after t",
    "below": "the level 0.4 is below the profile's lower_bound() of 0.5",
    "no pair": "piece() must return (level, end_s), not 0.5",
}


class Line:
    """Level 1 for 20 seconds, then what the fault says, for client 3; no fault for the others."""

    def __init__(self, fault: Fault, client_id: int) -> None:
        self.fault: Fault = fault if client_id == 3 else "none"

    def piece(self, t_s: float) -> Any:
        if t_s < 20:
            return 1.0, 20.0
        return 0.5 if self.fault == "no pair" else FAULTS[self.fault]


class Lines:
    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def piece(self, t_s: Any, rows: Any = None) -> Any:
        if rows is None:
            return self.lines[0].piece(t_s)
        pieces = [self.lines[r].piece(t) for r, t in zip(rows.tolist(), t_s.tolist(), strict=True)]
        if 0.5 in pieces:
            return 0.5
        return np.array(pieces)[:, 0], np.array(pieces)[:, 1]


class Faulty(Profile):
    """Answers for one client at a time."""

    fault: Fault = "none"
    bound: Any = 0.5

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Line(self.fault, client_id)

    def lower_bound(self) -> float:
        return self.bound  # type: ignore[no-any-return]


class FaultyMany(Faulty):
    """The same for many clients at once."""

    @for_many
    def timeline(self, client_id: Any, rng: Any, deadline_s: float) -> Timeline:
        return Lines([Line(self.fault, c) for c in np.atleast_1d(client_id).tolist()])


def task_of(bulk: bool = False, **options: Any) -> Task:
    profile = FaultyMany(**options) if bulk else Faulty(**options)
    return build(toy(profile=profile, method={"name": "fedavg"}))


@pytest.mark.parametrize("fault", MESSAGES)
@pytest.mark.parametrize("bulk", [False, True])
def test_a_fault_is_named_with_client_and_time(fault: Fault, bulk: bool) -> None:
    """One client at a time, and many at once; the first 20 seconds and the other clients are right."""
    task = task_of(fault=fault, bulk=bulk)
    named = r"^profile \S*Faulty(Many)?: client 3, t = 20 s: "
    capacity = task.devices.capacity(3, 0.0)
    assert capacity(19.0) == task.devices.macs_per_s
    for ask in (lambda: capacity.offered(0.0, 30.0), lambda: capacity.finish(0.0, 1e30)):
        with pytest.raises(InputError, match=named) as caught:
            ask()
        assert MESSAGES[fault] in str(caught.value)
    ids = np.array([3] if fault == "no pair" else [1, 3, 3])  # what is no pair has no place of the fault
    many = task.devices.capacities(ids, np.zeros(len(ids)))
    with pytest.raises(InputError, match=named) as caught:
        many.offered(np.full(len(ids), 30.0))
    assert MESSAGES[fault] in str(caught.value)
    assert task.devices.capacity(1, 0.0).offered(0.0, 30.0) == pytest.approx(25 * task.devices.macs_per_s)


@pytest.mark.parametrize("bulk", [False, True])
def test_a_right_profile_of_the_users_own(bulk: bool) -> None:
    """20 s at level 1 and 10 s at 0.5 offer 25 s' worth."""
    task = task_of(bulk=bulk)
    many = task.devices.capacities(np.array([0, 3]), np.zeros(2))
    assert many.offered(np.full(2, 30.0)) == pytest.approx([25 * task.devices.macs_per_s] * 2)


@pytest.mark.parametrize("bound", [-0.1, math.nan, True, "0.5", None])
def test_a_bound_that_is_none(bound: Any) -> None:
    with pytest.raises(InputError, match=r"Faulty: lower_bound\(\) must be a number from 0 on, not "):
        task_of(bound=bound)


def test_the_packages_own_are_not_asked_twice() -> None:
    """Their timelines are used as they are."""
    assert not isinstance(build(toy()).devices.capacity(0, 0.0).timeline, Checked)
    assert isinstance(task_of().devices.capacity(0, 0.0).timeline, Checked)


class Late(Profile):
    """Level 1 for all, but -1 from t = 5 s on for clients 3 and 4."""

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Pieces((1.0, -1.0), (5.0,)) if client_id in (3, 4) else Pieces((1.0,))


class Dense(Profile):
    """Pieces of a picosecond."""

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Picoseconds()


class Picoseconds:
    def piece(self, t_s: Any, rows: Any = None) -> Any:
        return (t_s >= 0) * 1.0, t_s + 1e-12


class DenseMany(Dense):
    @for_many
    def timeline(self, client_id: Any, rng: Any, deadline_s: float) -> Timeline:
        return Picoseconds()


@pytest.mark.parametrize(
    ("n_clients", "more"), [(4, ""), (10, " (and so for 1 more of the 10 clients looked at)")]
)
def test_the_first_fault_before_round_1_and_the_number_of_others(n_clients: int, more: str) -> None:
    """The first round, of 10 s, is walked; a profile need not have a lower bound. Of 4 clients only the last
    one has a fault.
    """
    clients = {"n_clients": n_clients, "clients_per_round": 2}
    with pytest.raises(InputError) as caught:
        build(toy(profile=Late(), method={"name": "fedavg"}, **clients))
    assert str(caught.value) == (
        f"profile {Late().name}: client 3, t = 5 s: the level is -1; it must be at least 0{more}"
    )


@pytest.mark.parametrize("profile", [Dense(), DenseMany()])
def test_pieces_without_number_end_with_a_line(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 s in picoseconds would never end. Queries in another round count from 1."""
    monkeypatch.setattr(profile_checks, "MOST_QUERIES", 2000)
    named = r"client 2, t = \S+ s: more than 2,000 pieces within deadline_s \(10\)"
    devices = build(toy(profile=profile, method={"name": "fedavg"})).devices
    with pytest.raises(InputError, match=named):
        devices.capacity(2, 0.0).offered(0.0, 10.0)
    many = devices.capacities(np.array([2, 3]), np.zeros(2))
    with pytest.raises(InputError, match=named):
        many.offered(np.full(2, 10.0))
    line = devices.capacity(2, 0.0).timeline
    for number in range(2100):
        line.piece(10.0 * (number % 7))
