"""Timelines of at most four clients, derived by hand, of every coordination but over-selection."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import events, played, world

from distreal_sim.base.errors import RunError
from distreal_sim.server.coordination import Server
from distreal_sim.server.coordination.semi_async import SemiAsync
from distreal_sim.simulation import steps

JOB_MACS = 640 * 2 * 16
"""One step of `logistic` on 16 digits: 64 x 10 weights, forward and for their gradient."""


def test_the_period_counts_from_the_last_step() -> None:
    """Whatever has happened since: a job that ended at 4 s does not put off the merge at 6 s."""
    server = Server(now_s=4.0, step_s=3.0, n_per_round=2, n_running=1, n_ended=1, n_received=1)
    assert SemiAsync(period_s=3.0).timer_s(server) == 6.0


def step_times(run: Any) -> list[float]:
    return [row.sim_s for row in run.rounds]


def assert_timeline(run: Any, steps_s: list[float], jobs: list[tuple[int, int, float, float, int]]) -> None:
    """Times of all steps, and (step, client, start, end, staleness) of all jobs by their end."""
    assert step_times(run) == steps_s
    assert events(run) == jobs


def test_rounds() -> None:
    """Jobs of 1, 2 and 12 s in rounds of 8 s, whatever comes: the third one sends nothing in time.

    With `round_end: early` a round lasts until the last one is done or given up; without the third, 2 s.
    """
    for lasts_s, early_s in (([1, 2, 12], 8), ([1, 2], 2)):
        for round_end, round_s in (("fixed", 8), ("early", early_s)):
            run = played(world(lasts_s, {"name": "rounds"}, rounds=2, round_end=round_end))
            assert step_times(run) == [round_s, 2 * round_s]
            jobs = [(row.round, row.client_id, row.sim_s, row.status) for row in run.clients]
            own = [(0, 1, "completed"), (1, 2, "completed"), (2, 8, "dropped")][: len(lasts_s)]
            assert jobs == [(number, *job) for number in (1, 2) for job in own]


def test_wait_all() -> None:
    """Jobs of 1, 2 and 4 s: each step takes 4 s, and all start again at its end."""
    run = played(world([1, 2, 4], {"name": "wait_all"}, rounds=2))
    jobs = [
        (1, 0, 0, 1, 0),
        (1, 1, 0, 2, 0),
        (1, 2, 0, 4, 0),
        (2, 0, 4, 5, 0),
        (2, 1, 4, 6, 0),
        (2, 2, 4, 8, 0),
    ]
    assert_timeline(run, [4, 8], jobs)


def test_joules_of_stale_and_refused_updates() -> None:
    """Jobs of 1, 2 and 4 s take 5 J and 1 W: 6, 7 and 9 J each, also the refused one; the last step cancels
    client 1 (0.0 s of its second job have passed) and client 2 after 3 of 4 s: 3.75 J and 3 s.
    """
    energy = {"name": "per_mac", "joules_per_mac": 5 / JOB_MACS, "idle_w": 1.0}
    run = played(world([1, 2, 4], {"name": "fedasync", "max_staleness": 1}, rounds=3, energy=energy))
    assert step_times(run) == [1, 2, 3]
    joules = [(row.client_id, round(row.metrics["energy_j"], 3)) for row in run.clients]
    assert joules == [(0, 6), (0, 6), (0, 6), (1, 7), (1, 3.5), (2, 6.75)]
    assert run.rounds[2].more["energy_j"] == pytest.approx(6 + 7 + 3.5 + 6.75)


def test_fedasync() -> None:
    """Jobs of 1, 2 and 4 s; every arrival is a step, so staleness counts the arrivals since the start.

    At 2 s client 0 comes before client 1, whose job started before three arrivals: (1, 0), (2, 0); that is
    staleness 2. At 4 s clients 0, 1 and 2 come in this order.
    """
    run = played(world([1, 2, 4], {"name": "fedasync"}, rounds=7))
    jobs = [
        (1, 0, 0, 1, 0),
        (2, 0, 1, 2, 0),
        (3, 1, 0, 2, 2),
        (4, 0, 2, 3, 0),
        (5, 0, 3, 4, 0),
        (6, 1, 2, 4, 2),
        (7, 2, 0, 4, 6),
    ]
    assert_timeline(run, [1, 2, 2, 3, 4, 4, 4], jobs)


def test_fedasync_refuses_what_is_too_stale() -> None:
    """As above with at most staleness 1: client 1's update at 2 s (staleness 2) brings no step.

    So the step of client 0's arrival at 3 s is step 3, and its row also counts the refused update, which was
    uploaded. Client 1 starts again at 2 s with version 2, and arrives at 4 s after client 0: staleness 2.
    """
    run = played(world([1, 2, 4], {"name": "fedasync", "max_staleness": 1}, rounds=4))
    assert step_times(run) == [1, 2, 3, 4]
    assert events(run)[:4] == [(1, 0, 0, 1, 0), (2, 0, 1, 2, 0), (3, 1, 0, 2, 2), (3, 0, 2, 3, 0)]
    refused = next(row for row in run.clients if row.metrics["refused"])
    assert (refused.client_id, refused.status, refused.upload_bytes, refused.macs) == (
        1,
        "dropped",
        2600,
        JOB_MACS,
    )
    assert run.rounds[2].more["refused"] == 1
    assert run.rounds[2].upload_bytes == 2 * 2600


def test_fedbuff() -> None:
    """Jobs of 1, 2 and 4 s, buffer 2: the trace of the order of events inside one instant.

    (1, a, 0), (2, a, 0) fill the buffer: step 1 at 2 s. (2, b) comes after it, staleness 1; (3, a, 0): step
    2. (4, a, 0), (4, b, 1): step 3 at 4 s, and after it (4, c, 3). A client that is free starts from the
    newest model. The last step, at 5 s, cancels the two that have run for 1 s.
    """
    run = played(world([1, 2, 4], {"name": "fedbuff", "buffer": 2}, rounds=4))
    jobs = [
        (1, 0, 0, 1, 0),
        (1, 0, 1, 2, 0),
        (2, 1, 0, 2, 1),
        (2, 0, 2, 3, 0),
        (3, 0, 3, 4, 0),
        (3, 1, 2, 4, 1),
        (4, 2, 0, 4, 3),
        *((4, client_id, 4, 5, 0) for client_id in (0, 1, 2)),
    ]
    assert_timeline(run, [2, 3, 4, 5], jobs)
    assert [r.metrics["cancelled"] for r in run.clients[-4:]] == [0, 1, 0, 1]  # clients 0, 1, 2 (4 s), 2


def test_semi_async() -> None:
    """Jobs of 1, 2 and 4 s, a merge every 3 s: clients 0 and 1 wait for it, client 2 is one step late."""
    run = played(world([1, 2, 4], {"name": "semi_async", "period_s": 3}, rounds=3))
    jobs = [
        (1, 0, 0, 1, 0),
        (1, 1, 0, 2, 0),
        (2, 0, 3, 4, 0),
        (2, 2, 0, 4, 1),
        (2, 1, 3, 5, 0),
        (3, 0, 6, 7, 0),
        (3, 1, 6, 8, 0),
        (3, 2, 6, 9, 0),
    ]
    assert_timeline(run, [3, 6, 9], jobs)


def test_semi_async_steps_without_an_update_too() -> None:
    """One client of 4 s and a merge every 3 s: it arrives at 4 s, and starts again at 6 s."""
    run = played(world([4], {"name": "semi_async", "period_s": 3}, rounds=3))
    assert_timeline(run, [3, 6, 9], [(2, 0, 0, 4, 1), (3, 0, 6, 9, 0)])
    assert [(row.n_selected, row.n_completed) for row in run.rounds] == [(0, 0), (1, 1), (1, 0)]


def test_an_update_that_arrives_with_the_timer_is_in_time() -> None:
    """Of events at one time the timer is the last: a job of 4 s is merged at 4 s."""
    run = played(world([4, 4], {"name": "semi_async", "period_s": 4}, rounds=2))
    assert_timeline(run, [4, 8], [(1, 0, 0, 4, 0), (1, 1, 0, 4, 0), (2, 0, 4, 8, 0), (2, 1, 4, 8, 0)])


@pytest.mark.parametrize("name", ["wait_all", "fedasync"])
def test_a_lost_update_is_given_up_at_its_own_deadline(name: str) -> None:
    """Deadline 8 s, jobs of 4 and 16 s, late updates are lost: client 1 ends at 8 s in any case.

    fedasync: client 0 arrives at 4, 8 and 12 s, at 8 s before the lost job ends, which is in the next row,
    the last one, beside the job that client 1 has begun since.
    """
    run = played(world([4, 16], {"name": name}, rounds=1 if name == "wait_all" else 3, overrun="drop"))
    lost = next(row for row in run.clients if row.client_id == 1)
    assert (lost.status, lost.metrics["start_s"], lost.metrics["end_s"]) == ("dropped", 0, 8)
    assert lost.macs == JOB_MACS // 2
    assert step_times(run) == ([8] if name == "wait_all" else [4, 8, 12])
    assert [row.n_dropped for row in run.rounds] == ([1] if name == "wait_all" else [0, 0, 2])


def test_jobs_that_take_no_time_do_not_stop_the_clock_for_ever() -> None:
    run = played(world([1e-300] * 2, {"name": "fedbuff", "buffer": 2}))
    assert step_times(run) == pytest.approx([0, 0, 0, 0], abs=1e-200)
    run = played(world([1e-300] * 2, {"name": "semi_async", "period_s": 3}))
    assert step_times(run) == [3, 6, 9, 12]


@pytest.mark.parametrize("name", ["fedasync", "fedbuff"])
def test_a_server_that_never_gets_an_update_ends_the_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five jobs in a row of each of two clients, each given up after 8 s: 40 s."""
    monkeypatch.setattr(steps, "PATIENCE", 5)
    with pytest.raises(RunError, match=r"10 jobs or waits in a row brought no update, until 40 s"):
        played(world([9, 9], {"name": name}, overrun="drop"))


@pytest.mark.parametrize("name", ["wait_all", "first_k"])
def test_a_cohort_without_clients_lasts_as_long_as_a_deadline(name: str) -> None:
    away = {"name": "random", "share": 1e-12}
    options = {"over": 1} if name == "first_k" else {}
    run = played(world([1, 2], {"name": name, **options}, rounds=2, availability=away))
    assert step_times(run) == [8, 16]
    assert run.clients == []
