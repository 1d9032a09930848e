"""What every capacity profile promises: the contract, on every bundled file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bundled import ROOT, example, plugin
from hypothesis import given
from hypothesis import strategies as st

from distreal_sim.base.plugins import names
from distreal_sim.devices.profiles import Profile, Timeline
from distreal_sim.devices.rngs import ClientRngs, bulk

TRACES = str(ROOT / "configs" / "traces" / "four_phones.csv")

MORE: dict[str, list[dict[str, Any]]] = {
    "constant": [{"level": 0.3}, {"level": 0.0}, {"level": math.inf}],
    "tiers": [{"levels": [0.2, 1.0, math.inf], "shares": [0.5, 0.25, 0.25]}, {"levels": [0.0, 1.0]}],
    "uniform": [
        {"low": 0.1, "high": 2.0},
        {"low": 0.1, "high": 1.0, "jitter": 0.5, "changes_per_round": 3},
        {"low": 0.5, "high": 0.5, "jitter": 1.0, "changes_per_round": 0.3},
    ],
    "markov": [
        {"levels": [0.0, 0.1, 1.0], "changes_per_round": 4, "rate_spread": 3},
        {"levels": [0.5, 2.0], "shares": [0.1, 0.9], "changes_per_round": 0.2},
        {"levels": [0.5, math.inf], "changes_per_round": 0},
    ],
    "diurnal": [
        {"period_s": 20, "steps": 7},
        {"period_s": 5.1, "low": 0, "high": 2, "time_zones": 0.3, "steps": 24},
    ],
    "random_walk": [
        {"changes_per_round": 3, "memory_rounds": 2},
        {"changes_per_round": 0.3, "memory_rounds": 0.1, "std": 0.5, "high": math.inf},
    ],
    "contention": [{"jobs": 3, "job_rounds": 0.2, "most_jobs": 3}, {"jobs": 0.05, "job_rounds": 5}],
    "bursty": [
        {"bursts_per_round": 4, "share": 0.6},
        {"idle": 0.0, "burst": math.inf, "bursts_per_round": 0.1, "share": 0.02},
    ],
    "uncertain": [{"means": [0.5, 1.0], "shares": [], "sigmas": [0.0, 0.2]}],
    "lognormal": [{"mean": 2, "cv": 1.5}],
    "fleet": [
        {"devices": {"raspberry_pi_4b": 2, "jetson_nano": 1, "snapdragon_865": 3}, "unit": "relative"},
        {"devices": {"mac_mini_m4": 1, "milk_v_mars": 1}, "efficiency": 0.25},
    ],
    "dpgmm": [{"sigma": 0.3, "kinds": 4}, {"mean": 2, "kinds": 8, "draw": 3}],
    "product": [
        {"parts": [{"name": "markov", "levels": [0, 1, 2], "changes_per_round": 3}, {"name": "contention"}]},
        {
            "parts": [
                {"name": "tiers", "levels": [0.5, math.inf]},
                {"name": "bursty", "idle": 0},
                {"name": "sum", "parts": ["lognormal", "random_walk"]},
            ]
        },
    ],
    "trace": [
        {"file": TRACES, "assign": "random", "begin": "anywhere"},
        {"file": TRACES, "clock": "common", "gaps": "zero", "largest_gap_s": 6.5, "period_s": 77.7},
        {"file": TRACES, "interpolation": "linear", "step_s": 0.7, "begin": "anywhere", "scale": 0.3},
        {"file": TRACES, "loop": False, "interpolation": "linear", "step_s": 5},
    ],
    "sum": [{"parts": ["bursty", "bursty", {"name": "uniform", "jitter": 0.5, "changes_per_round": 3}]}],
}
"""Settings that are tried beside a profile's defaults and the examples of its required options."""

CASES = [
    (name, options) for name in names(Profile) for options in (example(Profile, name), *MORE.get(name, []))
]
EVERY = pytest.mark.parametrize(("name", "options"), CASES)
DEADLINE_S = 7.3
CLIENTS = (0, 1, 5, 1000)


def timeline(name: str, options: dict[str, Any], client_id: int, seed: int = 3) -> Timeline:
    rngs = ClientRngs(seed, "profile", client_id)
    return plugin(Profile, name, options).timeline(client_id, rngs, DEADLINE_S)


def walk(line: Timeline, until_s: float, start_s: float = 0.0) -> list[tuple[float, float, float]]:
    """(from_s, to_s, level) of all pieces."""
    pieces, t_s = [], start_s
    while t_s < until_s:
        level, end_s = line.piece(t_s)
        pieces.append((t_s, end_s, level))
        t_s = end_s
    return pieces


@EVERY
def test_pieces_go_on_and_are_constant(name: str, options: dict[str, Any]) -> None:
    """Every piece ends after it begins, its level holds from its first moment (right-continuous) to just
    before its end, and it ends at the same time wherever in it one asks.
    """
    for client_id in CLIENTS:
        line = timeline(name, options, client_id)
        for from_s, to_s, level in walk(line, 20 * DEADLINE_S):
            assert to_s > from_s
            inside = [from_s, math.nextafter(to_s, 0), from_s + (min(to_s, 1e6) - from_s) * 0.37]
            for t_s in inside:
                assert line.piece(t_s) == (level, to_s)


@EVERY
def test_answers_do_not_depend_on_the_queries(name: str, options: dict[str, Any]) -> None:
    """Forwards, backwards, and each from a fresh object: the same answers."""
    times = np.random.default_rng(1).uniform(0, 50 * DEADLINE_S, 60)
    line = timeline(name, options, 5)
    forwards = [line.piece(t) for t in times]
    backwards = [line.piece(t) for t in times[::-1]]
    assert backwards[::-1] == forwards
    assert [timeline(name, options, 5).piece(t) for t in times] == forwards


@EVERY
def test_never_below_the_lower_bound(name: str, options: dict[str, Any]) -> None:
    bound = plugin(Profile, name, options).lower_bound()
    for client_id in range(40):
        for _, _, level in walk(timeline(name, options, client_id), 3 * DEADLINE_S):
            assert level >= bound >= 0


@pytest.mark.parametrize("name", [name for name in MORE if name != "constant"])
def test_clients_and_seeds_differ(name: str) -> None:
    """Among 30 clients several levels are seen, and another seed gives other ones."""
    options = MORE[name][0]
    levels = {seed: [timeline(name, options, c, seed).piece(1.0)[0] for c in range(30)] for seed in (3, 4)}
    assert len(set(levels[3])) > 1
    assert levels[3] != levels[4]


@given(
    case=st.sampled_from(CASES),
    deadline_s=st.floats(1e-6, 1e6),
    changes=st.floats(1e-3, 1e4),
    start=st.floats(0, 1e9),
    steps=st.integers(0, 5),
)
def test_no_loop_at_the_boundaries(
    case: tuple[str, dict[str, Any]], deadline_s: float, changes: float, start: float, steps: int
) -> None:
    """From anywhere up to a billion rounds on, and for any period, every piece ends after the time that was
    asked for, at its boundaries and at the floats next to them too.
    """
    name, options = case
    if options.get("changes_per_round"):
        options = {**options, "changes_per_round": changes}
        if "memory_rounds" in options:  # of which no more than 50 changes are remembered
            options["memory_rounds"] = min(options["memory_rounds"], 40 / changes)
    profile = plugin(Profile, name, options)
    line = profile.timeline(2, ClientRngs(1, "profile", 2), deadline_s)
    t_s = start * deadline_s
    for _ in range(steps):
        end_s = line.piece(t_s)[1]
        assert end_s > t_s
        if end_s == math.inf:
            return
        for near_s in (math.nextafter(end_s, 0), math.nextafter(end_s, math.inf)):
            assert line.piece(near_s)[1] > near_s
        t_s = end_s


@EVERY
def test_many_clients_at_once_are_each_of_them(name: str, options: dict[str, Any]) -> None:
    """Walks of 60 rows, of which some are the same client, from random times and now and then from another:
    levels and ends equal those of the clients asked alone, bit for bit.
    """
    rng = np.random.default_rng(2)
    client_ids, times = rng.integers(0, 40, 60), rng.uniform(0, 20 * DEADLINE_S, 60)

    ask = bulk(plugin(Profile, name, options).timeline)
    assert ask is not None, "a bundled profile serves many clients: mark timeline with rngs.for_many"
    many = ask(client_ids, ClientRngs(3, "profile", client_ids), DEADLINE_S)
    alone = [timeline(name, options, int(client_id)) for client_id in client_ids]
    for turn in range(15):
        rows = np.flatnonzero(rng.random(60) < 0.6)
        levels, ends = many.piece(times[rows], rows)
        expected = [alone[row].piece(float(times[row])) for row in rows]
        assert list(zip(levels.tolist(), ends.tolist(), strict=True)) == expected
        times[rows] = np.where(np.isinf(ends), times[rows] + 1, ends)
        if turn % 8 == 7:
            times = rng.uniform(0, 20 * DEADLINE_S, 60)
