"""TS-FL: which servers take part with how many epochs, derived by hand, and what it saves."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from worlds import played, world

from distreal_sim.methods.ts_fl import servers_and_epochs, training_s

WAITS: dict[str, Any] = {"overrun": "wait", "local": {"epochs": 1, "batch_size": 16, "lr": 0.1}}


def test_equal_servers_all_take_part() -> None:
    """Without transfers an epoch more costs as much as it saves: (1 / E + 0.1 E) E grows, so E = 1."""
    assert servers_and_epochs([0.0] * 4, [2.0] * 4, [5] * 4, 10, 0.1, 10.0) == ([0, 1, 2, 3], 1)


def test_a_slow_server_with_few_examples_is_dropped_unless_it_matters() -> None:
    """1.1 x 4/3 x 10 = 14.7 with it; d = 0.1, 1.1 x 3/2 / (1 - 10 x 0.01) = 1.83 without; bias 100: never."""
    servers = ([0.0] * 3, [1.0, 1.0, 10.0], [45, 45, 10])
    assert servers_and_epochs(*servers, 5, 0.1, 10.0) == ([0, 1], 1)
    assert servers_and_epochs(*servers, 5, 0.1, 100.0) == ([0, 1, 2], 1)
    assert training_s(10.0, 1, [0, 1, 2], servers[2], 0.1, 10.0) == pytest.approx(1.1 * 4 / 3 * 10)
    assert training_s(1.0, 1, [0, 1], servers[2], 0.1, 10.0) == pytest.approx(1.1 * 1.5 / 0.9)


def test_long_transfers_pay_for_more_epochs() -> None:
    """Transfers of 4 s, epochs of 1 s: (1 / E + 0.1 E) (4 + E) is 5.5, 4.2 and 4.43 for E = 1, 2, 3."""
    assert servers_and_epochs([4.0] * 2, [1.0] * 2, [5, 5], 10, 0.1, 10.0) == ([0, 1], 2)
    assert servers_and_epochs([4.0] * 2, [1.0] * 2, [5, 5], 1, 0.1, 10.0) == ([0, 1], 1)


def test_a_server_without_capacity_is_dropped() -> None:
    assert servers_and_epochs([0.0] * 5, [1.0] * 4 + [np.inf], [5] * 5, 3, 0.1, 10.0)[0] == [0, 1, 2, 3]
    assert servers_and_epochs([0.0] * 2, [np.inf] * 2, [5] * 2, 3, 0.1, 10.0) == ([0, 1], 1)


def test_prefixes_are_the_best_of_all_subsets() -> None:
    """Servers of equal sizes: every subset and number of epochs tried, 20 random cases of up to 8."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        n = int(rng.integers(1, 9))
        transfers, seconds = rng.exponential(1, n), rng.exponential(1, n)
        sizes, drift, bias = [3] * n, float(rng.uniform(0, 0.5)), float(rng.uniform(0, 20))
        found, epochs = servers_and_epochs(transfers, seconds, sizes, 4, drift, bias)
        every = [
            training_s(max(transfers[i] + e * seconds[i] for i in s), e, s, sizes, drift, bias)
            for size in range(1, n + 1)
            for s in combinations(range(n), size)
            for e in range(1, 5)
        ]
        round_s = max(transfers[i] + epochs * seconds[i] for i in found)
        assert training_s(round_s, epochs, found, sizes, drift, bias) == pytest.approx(min(every))


def test_a_round_lasts_as_long_as_the_slowest_that_takes_part() -> None:
    """Jobs of 1, 2, 4 and 40 s without transfers, bias 1: a quarter and then half of the examples dropped.

    Factors of all, three, two, one: 5/4 x 40, 4/3 / (1 - 1/16) x 4 = 5.69, 3/2 / (3/4) x 2 = 4 and
    2 / (1 - 9/16) x 1 = 4.57 (each x 1.1): two take part, for 2 s a round.
    """
    method = {"name": "ts_fl", "bias": 1.0}
    run = played(world([1, 2, 4, 40], {"name": "wait_all"}, rounds=2, method=method, **WAITS))
    assert [row.sim_s for row in run.rounds] == [2, 4]
    assert [(row.round, row.client_id, row.sim_s) for row in run.clients] == [
        (1, 0, 1.0),
        (1, 1, 2.0),
        (2, 0, 1.0),
        (2, 1, 2.0),
    ]


def test_transfers_of_a_link_count() -> None:
    """Downloads alone take 8 s for client 2: it is left out, though it computes as fast."""
    links = {"name": "worlds.Downloads", "of": [1e12, 1e12, 650 * 4 / 8.0]}
    run = played(
        world(
            [2, 2, 2],
            {"name": "wait_all"},
            rounds=1,
            link=links,
            method={"name": "ts_fl", "bias": 1.0},
            **WAITS,
        )
    )
    assert {row.client_id for row in run.clients} == {0, 1}


def test_all_servers_with_one_epoch_are_fedavg() -> None:
    """Whom nobody may be dropped for, with E = 1: the bytes of FedAvg."""
    changes = {**WAITS, "rounds": 2}
    method = {"name": "ts_fl", "max_epochs": 1, "bias": 1e9}
    one = played(world([1, 2, 4], {"name": "wait_all"}, method=method, **changes), trained=True)
    other = played(world([1, 2, 4], {"name": "wait_all"}, **changes), trained=True)
    assert one.model == other.model


def test_time_to_a_loss_with_a_straggler() -> None:
    """One of six is ten times as slow: TS-FL has FedAvg's last training loss in at most 0.8 of its time."""
    changes = {**WAITS, "partition": {"name": "iid"}, "n_clients": 6, "clients_per_round": 6}
    lasts_s = [1.0] * 5 + [10.0]
    plain = played(world(lasts_s, {"name": "wait_all"}, rounds=5, **changes), trained=True)
    method = {"name": "ts_fl", "max_epochs": 3}
    timed = played(world(lasts_s, {"name": "wait_all"}, rounds=15, method=method, **changes), trained=True)
    target = plain.rounds[-1].train_loss
    reached = next(row.sim_s for row in timed.rounds if row.train_loss <= target)
    assert reached <= 0.8 * plain.rounds[-1].sim_s
