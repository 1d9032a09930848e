"""Over-selection: its timeline, what cancelled jobs are charged, and abandoned rounds, derived by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rounds import model_bytes
from worlds import played, world

from distreal_sim.server.coordination.first_k import FirstK

from .test_timelines import JOB_MACS, assert_timeline, step_times


def first_of_four(**changes: Any) -> Any:
    """One of four clients is merged: 2,600 bytes (650 numbers) take 2 s each way, work 1, 2, 6 and 0.5 s.

    Updates arrive at 5, 6, 10 and 4.5 s.
    """
    speeds = {"download_bytes_per_s": 1300, "upload_bytes_per_s": 1300}
    return played(
        world(
            [1, 2, 6, 0.5],
            {"name": "first_k", "over": 4},
            rounds=1,
            clients_per_round=1,
            link={"name": "constant", **speeds},
            overrun="wait",
            **changes,
        )
    )


def test_first_k() -> None:
    """Two of four are merged: jobs of 1, 2, 3 and 4 s, so a step takes 2 s.

    The other two have done 2/3 and 2/4 of their work by then, charged in whole MACs, and have sent nothing.
    """
    run = played(world([1, 2, 3, 4], {"name": "first_k", "over": 2}, rounds=2, clients_per_round=2))
    jobs = [(1, 0, 0, 1, 0), (1, 1, 0, 2, 0), (1, 2, 0, 2, 0), (1, 3, 0, 2, 0)]
    again = [(2, client, start_s + 2, end_s + 2, 0) for _, client, start_s, end_s, _ in jobs]
    assert_timeline(run, [2, 4], [*jobs, *again])
    first = run.clients[:4]
    assert [row.status for row in first] == ["completed", "completed", "dropped", "dropped"]
    assert [row.metrics["cancelled"] for row in first] == [0, 0, 1, 1]
    assert [row.macs for row in first] == [JOB_MACS, JOB_MACS, JOB_MACS * 2 // 3, JOB_MACS // 2]
    assert [row.macs_available for row in first] == pytest.approx(
        [JOB_MACS, JOB_MACS, JOB_MACS * 2 / 3, JOB_MACS / 2]
    )
    assert [row.upload_bytes for row in first[2:]] == [0, 0]
    assert [row.n_steps_done for row in first] == [1, 1, 0, 0]
    assert run.rounds[0].more["cancelled"] == 2
    assert run.rounds[0].n_completed == 2


def test_first_k_of_exponential_times() -> None:
    """The i-th of 130 times of Exp(1) has the mean 1/130 + ... + 1/(131 - i); clients take those times.

    100 of 130 are there after H_130 - H_30 = 1.4536 s, where the slowest of 100 would take H_100 = 5.187 s.
    """
    harmonic = np.append(0, np.cumsum(1 / np.arange(1, 131)))
    lasts_s = (harmonic[130] - harmonic[129::-1]).tolist()
    changes = {"rounds": 1, "clients_per_round": 100, "overrun": "wait"}
    run = played(world(lasts_s, {"name": "first_k"}, **changes))
    assert step_times(run) == [pytest.approx(1.4536, abs=5e-5)]
    assert [row.metrics["cancelled"] for row in run.clients] == [0] * 100 + [1] * 30
    assert harmonic[100] == pytest.approx(5.187, abs=5e-4)


def test_a_round_with_too_few_updates_is_abandoned() -> None:
    """Three are wanted, and with a least of 0.8 none may be missing: jobs of 4, 5 and 9 s, deadline 8 s.

    The model stays as it is; two updates were sent in vain, and the third client sent none. With 2/3 as the
    least the two are merged.
    """
    jobs = [(1, 0, 0, 4, 0), (1, 1, 0, 5, 0), (1, 2, 0, 8, 0)]
    for least, n_merged in ((0.8, 0), (2 / 3, 2), (0.0, 2)):
        first_k = {"name": "first_k", "over": 1, "least": least}
        run = played(world([4, 5, 9], first_k, rounds=1, overrun="drop"), trained=True)
        assert_timeline(run, [8], jobs)
        assert [row.metrics["refused"] for row in run.clients] == [float(n_merged == 0)] * 2 + [0]
        assert [row.macs for row in run.clients] == [JOB_MACS, JOB_MACS, JOB_MACS * 8 // 9]
        assert [row.upload_bytes for row in run.clients] == [2600, 2600, 0]
        assert run.rounds[0].n_completed == n_merged
        assert (model_bytes(run.states[1]) == model_bytes(run.states[0])) == (n_merged == 0)


def test_first_k_counts_the_starters_in_whole_numbers() -> None:
    """ceil(1.3 k): 13 for 10, 2 for 1; a product that floating point puts above a whole number is that."""
    assert [FirstK().most_running(k) for k in (1, 10, 100)] == [2, 13, 130]
    assert FirstK(over=1.1).most_running(10) == 11
    assert FirstK(over=1.0).most_running(7) == 7


def test_a_cancelled_job_is_charged_the_bytes_that_travelled() -> None:
    """By 4.5 s client 0 has finished its work at 3 s and sent 1.5 s of its upload, client 1 (4 s) 0.5 s of
    it, and client 2 has done 2.5 of 6 s of its work.
    """
    run = first_of_four()
    assert step_times(run) == [4.5]
    rows = run.clients
    assert [(row.download_s, row.compute_s) for row in rows] == [(2, 1), (2, 2), (2, 2.5), (2, 0.5)]
    assert [row.metrics["end_s"] for row in rows] == [4.5, 4.5, 4.5, 4.5]
    assert [row.download_bytes for row in rows] == [2600] * 4
    assert [row.upload_bytes for row in rows] == [1950, 650, 0, 2600]
    assert [row.macs for row in rows] == [JOB_MACS, JOB_MACS, JOB_MACS * 5 // 12, JOB_MACS]


RADIO = {"radio": [1.0, 0.0, 3.0, 0.0]}
"""1 W sending and 3 W receiving, whatever the rate."""


def test_a_cancelled_job_is_charged_the_joules_until_then() -> None:
    """As above. Downloads take 2 s x 3 W; a whole job's MACs take 10 J, and 0.5 W between the transfers.

    Client 0: 10 J + 1 s x 0.5 W, and 1.5 s of sending. Client 1: 10 J + 2 s, 0.5 s of sending. Client 2: 2.5
    of 6 s of its work, 10 x 2.5 / 6 J + 2.5 s. Client 3: 10 J + 0.5 s, 2 s of sending.
    """
    energy = {"name": "per_mac", "joules_per_mac": 10 / JOB_MACS, "idle_w": 0.5, **RADIO}
    run = first_of_four(energy=energy)
    compute_j, radio_j = ([row.metrics[name] for row in run.clients] for name in ("compute_j", "radio_j"))
    assert compute_j == pytest.approx([10.5, 11, 25 / 6 + 1.25, 10.25])
    assert radio_j == pytest.approx([7.5, 6.5, 6, 8])
    assert run.rounds[0].more["energy_j"] == pytest.approx(sum(compute_j) + sum(radio_j))


def test_joules_of_operating_points_until_a_job_is_cancelled() -> None:
    """Client 0 computes 20480 MACs in 2 s, client 1 in 4 s, cancelled at 2 s. The points of 10240 and 20480
    MAC/s have 1 V and 2 V, and C is such that they take 3 and 24 W: 10240 MAC/s take 3 W for 2 s, and 5120
    MAC/s half of it.
    """
    points = {"name": "points", "points": [[10240, 1], [20480, 2]], "capacitance_f": 3 / 10240}
    energy = {**points, "macs_per_cycle": 1, "static_w": 1.0}
    run = played(world([2, 4], {"name": "first_k", "over": 2}, rounds=1, clients_per_round=1, energy=energy))
    assert [row.metrics["energy_j"] for row in run.clients] == pytest.approx([2 * (3 + 1), 2 * (1.5 + 1)])


def test_a_job_cancelled_during_its_download() -> None:
    """Client 0 works 8 s and has half of its download after 1 s; client 1 has a link of its own speed."""
    run = played(
        world(
            [8, 1],
            {"name": "first_k", "over": 2},
            rounds=1,
            clients_per_round=1,
            link={"name": "worlds.Downloads", "of": [1300, 1e12]},
        )
    )
    assert step_times(run) == [pytest.approx(1.0)]
    assert run.clients[0].download_bytes == 1300
    assert run.clients[0].macs == 0
