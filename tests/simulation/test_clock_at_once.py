"""Many clients timed at once: the same rows as from `train`, one client after the other."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import bundled
import numpy as np
import pytest
from choices import from_front, levels_of
from hypothesis import example, given
from hypothesis import strategies as st
from pieces import Pieces
from rounds import Rows
from shares import front_of_shares
from toys import toy, whole_toy
from traces import with_traces

from distreal_sim.base.plugins import load, names
from distreal_sim.client.schedule import Moment, NeverDoneError, schedule
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.devices.capacity import Capacity
from distreal_sim.devices.links import Links
from distreal_sim.devices.many import Capacities, OneByOne
from distreal_sim.devices.processes import Steady
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.profiles.markov import Markov
from distreal_sim.devices.rngs import Keyed
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.methods import Method
from distreal_sim.methods.distreal import Distreal
from distreal_sim.methods.fedavg import FedAvg
from distreal_sim.simulation.clock.rounds import TimedFleet, known_levels, run_clock
from distreal_sim.simulation.clock.schedules import Moments, Work, schedules
from distreal_sim.simulation.rounds import Simulation, simulate, start

METHODS: list[dict[str, Any]] = [
    {"name": "fedavg"},
    {"name": "small", "width": 0.3},
    {"name": "fedprox"},
    {"name": "fednova"},
    {"name": "heterofl"},
    {"name": "heterofl", "widths": 16},
    {"name": "fedrolex"},
    {"name": "fedrolex", "widths": 16},
    {"name": "federated_dropout"},
    {"name": "federated_dropout", "keep": 0.5},
    {"name": "federated_dropout", "widths": 16},
    {"name": "depthfl"},
    {"name": "inclusivefl"},
    {"name": "distreal"},
    {"name": "distreal", "filters": "ordered"},
]
"""All that declare levels, some with several settings."""

PROFILES: list[dict[str, Any]] = [
    {"name": "constant", "level": 0.6},
    {"name": "uniform", "low": 0.05, "high": 3},
    {"name": "uniform", "low": 0.05, "high": 2, "jitter": 0.7, "changes_per_round": 3.7},
    {"name": "tiers", "levels": [0.05, 0.5, 1, math.inf]},
    {"name": "markov", "levels": [0.01, 0.3, 1.5, 4], "changes_per_round": 2.3, "rate_spread": 2},
    {"name": "markov", "levels": [0, 0.3, 1.5, math.inf], "changes_per_round": 5},
    {"name": "markov", "levels": [0.01, 0.3, 1.5, 4], "changes_per_round": 2.3, "unit": "relative_own"},
    {"name": "tiers", "levels": [0.1, 0.5, 2], "unit": "macs_per_s", "level_1_macs_per_s": 1e5},
]

LINK = {"name": "constant", "download_bytes_per_s": 50_000, "upload_bytes_per_s": 20_000}


def timed(experiment: Experiment, task: Task, at_once: bool) -> Rows:
    """The rows of a run of the clock alone, in either way."""
    rows, progress = Rows(), start(experiment, task)
    if at_once:
        assert known_levels(experiment.method, task) is not None
        run_clock(experiment, task, progress, rows)
    else:
        simulate(Simulation(experiment, task, TimedFleet(task, experiment.method), rows), progress)
    return rows


def test_every_method_with_levels_is_here() -> None:
    tasks = {name: build(toy(method={"name": name})) for name in names(Method)}
    known = {name for name, task in tasks.items() if known_levels(load(Method, name)(), task) is not None}
    assert known == {method["name"] for method in METHODS}


OVERRUNS = ("drop", "partial", "wait")
KINDS = ("small", "heterofl", "fedrolex", "depthfl", "distreal")


def each_with_an_overrun() -> Iterator[Any]:
    """A method of each kind with an overrun, in turn; the rest in the slow tests."""
    for number, method in enumerate(METHODS):
        for place, overrun in enumerate(OVERRUNS):
            name = "-".join([*map(str, method.values()), overrun])
            kept = method["name"] in KINDS and place == number % len(OVERRUNS)
            yield pytest.param(method, overrun, marks=[] if kept else [pytest.mark.slow], id=name)


@pytest.mark.parametrize(("method", "overrun"), list(each_with_an_overrun()))
def test_rows_are_those_of_the_clients_one_by_one(method: dict[str, Any], overrun: str) -> None:
    """Every number of every client and round, to the last bit, with all profiles; transfers, availability and
    the end of the round take turns.
    """
    assert_timed_alike(method, overrun)


def test_rows_of_a_front_of_shares(tmp_path: Path) -> None:
    """As above. Some picks are wide and for few examples: thinned and full steps follow each other."""
    front = front_of_shares(tmp_path / "front.json")
    assert_timed_alike({"name": "distreal", "front": str(front)}, "partial")


@pytest.mark.parametrize("method", [{"name": "distreal"}, {"name": "heterofl"}])
def test_rows_with_every_link(method: dict[str, Any], tmp_path: Path) -> None:
    """As above; where links change during a transfer some updates are lost on their way."""
    base, found = build(toy(method=method)), []
    for name in names(Links):
        link = {"name": name, **with_traces(bundled.example(Links, name), tmp_path)}
        experiment = toy(method=method, link=link, rounds=2)
        task = dataclasses.replace(base, computes=False, devices=build(experiment).devices)
        at_once, alone = timed(experiment, task, True), timed(experiment, task, False)
        assert [repr(row) for row in at_once.rounds] == [repr(row) for row in alone.rounds], name
        assert [repr(row) for row in at_once.clients] == [repr(row) for row in alone.clients], name
        found += alone.clients
    assert {row.status for row in found} >= {"completed", "dropped"}


def assert_timed_alike(method: dict[str, Any], overrun: str) -> None:
    """With all profiles; transfers, availability and the end of the round take turns."""
    base = build(toy(method=method, local={"epochs": 2, "batch_size": 8}))
    for profile, link, end, share in zip(
        PROFILES,
        cycle([LINK, {"name": "unlimited"}, LINK]),
        cycle(["fixed", "fixed", "early"]),
        cycle([1.0, 0.6]),
        strict=False,
    ):
        experiment = toy(
            method=method,
            overrun=overrun,
            profile=profile,
            link=link,
            round_end=end,
            availability={"name": "random", "share": share},
            rounds=3,
        )
        task = dataclasses.replace(base, computes=False, devices=build(experiment).devices)
        at_once, alone = timed(experiment, task, True), timed(experiment, task, False)
        assert [repr(row) for row in at_once.rounds] == [repr(row) for row in alone.rounds]
        assert [repr(row) for row in at_once.clients] == [repr(row) for row in alone.clients]


@given(
    clients=st.lists(
        st.tuples(
            st.lists(
                st.sampled_from([0.0, 0.1, 0.7, 1.0, 3.0, 10.0, 100.0, math.inf]), min_size=4, max_size=4
            ),
            st.lists(st.floats(0.01, 5.0), min_size=3, max_size=3),
            st.lists(st.integers(1, 5), min_size=1, max_size=6),
            st.sampled_from([0.0, 1 / 3, 2.0, 1e6]),
        ),
        min_size=1,
        max_size=8,
    ),
    entries=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([0.125, 1 / 3, 0.5, 1.0, 1.0])),
        min_size=1,
        max_size=5,
        unique_by=lambda entry: entry[0] * entry[1],
    ),
    start_s=st.floats(0, 3),
    end_s=st.floats(-1, 14),
    overrun=st.sampled_from(["drop", "partial", "wait"]),
)
@example(
    clients=[([1.0] * 4, [1.0] * 3, [5], 0.0), ([1.0, 1.0, 1.0, 0.0], [0.1] * 3, [5], 0.0)],
    entries=[(40, 1.0)],
    start_s=0.0,
    end_s=10.0,
    overrun="wait",
)  # the second client has done 0.75 of its 200 MACs when its capacity ends for good
@example(
    clients=[([1.0] * 4, [1.0] * 3, [1] * 100, 0.0)],
    entries=[(5, 1.0)],
    start_s=0.0,
    end_s=200 * (1 - 5e-10),
    overrun="drop",
)  # 100 batches of 2 s: the last lacks 5e-8 of itself, but 5e-10 of all the work, and is done
@example(
    clients=[([1.0] * 4, [1.0] * 3, [1] * 100, 0.0)],
    entries=[(5, 1.0)],
    start_s=0.0,
    end_s=200 * (1 - 2e-9),
    overrun="drop",
)  # 2e-9 of all the work: it is not
def test_schedules_are_those_of_the_clients_one_by_one(
    clients: list[Any], entries: list[tuple[int, float]], start_s: float, end_s: float, overrun: Any
) -> None:
    """Random pieces, of no and of endless capacity too, batches and lookups in a random table with shares."""
    ordered = sorted(entries, key=lambda entry: entry[0] * entry[1])
    macs = [own for own, _ in ordered]
    rows = (Entry((), (own,), own, own * share, share=share) for own, share in ordered)
    front = Front(tuple(rows), "by hand", (), {})
    levels = levels_of(front)
    lines = [Pieces(levels, np.cumsum([at_s, *gaps])[1:].tolist()) for levels, gaps, _, at_s in clients]
    begun = np.array([at_s for *_, at_s in clients])
    limits: dict[str, Any] = {"overrun": overrun, "deadline_s": 10.0}

    def alone(line: Pieces, sizes: list[int], at_s: float) -> tuple[Any, ...]:
        plan = schedule(
            sizes,
            Capacity(line, 2.5, at_s),
            from_front(front),
            start_s=start_s,
            end_s=end_s,
            **limits,
        )
        return [step.choice.counts[0] for step in plan.steps], plan.macs, plan.compute_end_s

    def at_once() -> list[tuple[Any, ...]]:
        def choose(moments: Moments) -> np.ndarray:
            m = moments
            fields = (m.t_s, m.end_s, m.macs_per_s, m.n_left, m.n_done, m.charged_macs)
            alone = [
                Moment(t, end, c, [left], 0, done, spent)
                for t, end, c, left, done, spent in zip(*map(np.ndarray.tolist, fields), strict=True)
            ]
            return np.array(
                [levels.levels.index(levels.now(own, levels.levels[0])) for own in alone], np.int64
            )

        n = len(clients)
        found = schedules(
            Work.of([sizes for _, _, sizes, _ in clients]),
            np.arange(n),
            Capacities(OneByOne(lines), 2.5, begun),
            np.array(macs),
            np.array(macs),
            choose,
            rows=np.arange(n),
            start_s=np.full(n, start_s),
            end_s=np.full(n, end_s),
            **limits,
        )
        taken: list[list[int]] = [[] for _ in clients]
        for rows, level in found.steps:
            for row, index in zip(rows, level, strict=True):
                taken[row].append(macs[index])
        assert found.n_done.tolist() == [len(own) for own in taken]
        return list(zip(taken, found.macs.tolist(), found.compute_end_s.tolist(), strict=True))

    try:
        rows = zip(lines, clients, strict=True)
        expected = [alone(line, sizes, at_s) for line, (_, _, sizes, at_s) in rows]
    except NeverDoneError:
        with pytest.raises(NeverDoneError):
            at_once()
        return
    assert at_once() == expected


class OwnProfile(Profile):
    """Odd clients are weak; knows nothing of arrays."""

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(0.2 if client_id % 2 else 2.0)

    def lower_bound(self) -> float:
        return 0.2


class Changed(Markov):
    """Its `timeline` answers for one client, unlike the one that it overrides."""

    def timeline(self, client_id: int, rng: Keyed, deadline_s: float) -> Timeline:
        return Steady(0.2 if client_id % 2 else 2.0)


def test_a_users_profile_needs_no_arrays() -> None:
    """It is asked client by client, also where it overrides a method that serves many."""
    markov = {"levels": [0.1, 1.0], "changes_per_round": 1}
    for profile in ({"name": f"{__name__}.OwnProfile"}, {"name": f"{__name__}.Changed", **markov}):
        experiment = toy(profile=profile)
        task = dataclasses.replace(build(experiment), computes=False)
        at_once, alone = timed(experiment, task, True), timed(experiment, task, False)
        assert [repr(row) for row in at_once.clients] == [repr(row) for row in alone.clients]


class Half(FedAvg):
    """Inherits `ladder`, which is not of its own `train`."""

    train = Distreal.train


def test_an_inherited_ladder_is_not_that_of_another_train() -> None:
    experiment = toy(method={"name": "fedavg"})
    task = dataclasses.replace(build(experiment), computes=False)
    assert known_levels(FedAvg(), task) is not None
    assert known_levels(Half(), task) is None


def test_clients_cost_no_python() -> None:
    """Calls of Python functions in 4 rounds of 50 and of 200 clients: at most half a call a client more."""

    def calls(clients_per_round: int) -> int:
        experiment = whole_toy(
            method={"name": "distreal"},
            rounds=4,
            n_clients=300,
            clients_per_round=clients_per_round,
            partition={"name": "iid"},
            profile=PROFILES[2],
        )
        task = dataclasses.replace(build(experiment), computes=False)
        progress, n_calls = start(experiment, task), 0

        class Dropped(Rows):
            def write(self, row: Any, rows: Any, timing: Any) -> None: ...

        def count(frame: Any, event: str, arg: Any) -> None:
            nonlocal n_calls
            n_calls += event == "call"

        sys.setprofile(count)
        try:
            run_clock(experiment, task, progress, Dropped())
        finally:
            sys.setprofile(None)
        return n_calls

    calls(50)  # fills caches
    assert calls(200) - calls(50) < 4 * 150 / 2
