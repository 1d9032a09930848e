"""A client costs next to nothing until it is selected, and a round as much as its clients."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from flwr.app import Message
from rounds import Rows
from serial_grid import SerialGrid
from toys import toy, toy_fleet

from distreal_sim.config import Experiment
from distreal_sim.config.build import build
from distreal_sim.grids.flower.client_app import make_client_app
from distreal_sim.grids.flower.fleet import GridFleet
from distreal_sim.simulation.rounds import Simulation, play_round, start


def fleet_of(n_clients: int, method: str) -> Experiment:
    """Clients that are all alike, with 20 examples each."""
    return toy(
        n_clients=n_clients,
        clients_per_round=10,
        partition={"name": "bootstrap", "examples": 20},
        profile={"name": "constant", "level": 1.0},
        method=method,
    )


@pytest.mark.slow
def test_a_client_is_a_few_numbers() -> None:
    """20 indices of examples and where they begin, 8 bytes each: 168 bytes and no object of its own."""

    def held(n_clients: int) -> tuple[int, int, object]:
        gc.collect()
        n_objects, n_bytes = len(gc.get_objects()), tracemalloc.get_traced_memory()[0]
        task = build(fleet_of(n_clients, "distreal"))
        gc.collect()
        return len(gc.get_objects()) - n_objects, tracemalloc.get_traced_memory()[0] - n_bytes, task

    tracemalloc.start()
    try:
        held(1000)  # fills caches
        few_objects, few_bytes, _ = held(1000)
        many_objects, many_bytes, _ = held(100_000)
    finally:
        tracemalloc.stop()
    assert (many_bytes - few_bytes) / 99_000 == pytest.approx(168, abs=5)
    assert abs(many_objects - few_objects) < 100


@pytest.mark.parametrize("method", ["fedavg", "distreal"])
def test_a_round_costs_what_its_clients_cost(method: str) -> None:
    """Calls, of Python functions and of compiled ones, in the second of two trained rounds with 10 of 100 and
    with 10 of 100,000 clients: 1 % apart at most (other clients, so other batches, are drawn).
    """

    def calls(n_clients: int) -> int:
        experiment = fleet_of(n_clients, method)
        task, fleet = toy_fleet(experiment)
        progress, _ = play_round(Simulation(experiment, task, fleet, Rows()), start(experiment, task))
        n_calls = 0

        def count(frame: Any, event: str, arg: Any) -> None:
            nonlocal n_calls
            n_calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            play_round(Simulation(experiment, task, fleet, Rows()), progress)
        finally:
            sys.setprofile(None)
        return n_calls

    assert calls(100_000) == pytest.approx(calls(100), rel=0.01)


class Backwards(SerialGrid):
    """The client that was asked last answers first, so that all but one reply must wait for their turn."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return super().pull_messages(list(message_ids)[::-1])


@pytest.mark.slow
def test_clients_of_a_round_wait_in_a_window() -> None:
    """What a round holds at its peak, but for 30 or 150 models of 250 kB on their way: a client's rows and
    its part of the plan, about 2 kB. Without a window it would be 120 models more, 30 MB.
    """

    def peak_bytes(clients_per_round: int) -> int:
        experiment = toy(
            n_clients=1000,
            clients_per_round=clients_per_round,
            partition={"name": "bootstrap", "examples": 20},
            local={"steps": 1, "batch_size": 2},
            model={"name": "small_cnn", "width": 26},
            profile={"name": "constant", "level": 1.0},
            method="fedavg",
        )
        task = build(experiment)
        grid = Backwards(make_client_app(lambda context: (task, experiment.method)), 1000)
        fleet = GridFleet(grid, task, nodes=None, window=8, states=grid)
        tracemalloc.start()
        try:
            play_round(Simulation(experiment, task, fleet, Rows()), start(experiment, task))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)  # fills caches
    few, many = peak_bytes(30), peak_bytes(150)
    assert many - few < 120 * 3_000
