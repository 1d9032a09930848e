"""Downloads and uploads take their part of a client's round."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from rounds import ROUND

from distreal_sim.client.client import do
from distreal_sim.client.messages import Facts, Job, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment, parse_experiment
from distreal_sim.config.build import build

BASE: dict[str, Any] = {
    "rounds": 1,
    "deadline_s": 10.0,
    "n_clients": 12,
    "clients_per_round": 2,
    "dataset": "digits",
    "partition": "iid",
    "model": {"name": "small_cnn", "width": 4},
    "local": {"steps": 4, "batch_size": 8},
    "method": "fedavg",
}
"""Every client plans 4 steps of 8 examples, which take the whole 10 s at level 1."""


@cache
def model_bytes() -> int:
    experiment = parse_experiment({**BASE, "profile": "constant"}, source="test")
    return sum(p.numel() * 4 for p in build(experiment).module.parameters())


def play(level: float, download_s: float, upload_s: float, **changes: Any) -> tuple[Task, Update]:
    """Client 3's round, on links over which the model itself takes download_s and upload_s."""
    speeds = {
        "download_bytes_per_s": model_bytes() / download_s,
        "upload_bytes_per_s": model_bytes() / upload_s,
    }
    raw = {**BASE, "profile": {"name": "constant", "level": level}, "link": {"name": "constant", **speeds}}
    experiment: Experiment = parse_experiment({**raw, **changes}, source="test")
    task = build(experiment)
    job = Job(3, ROUND, task.engine.export())
    return task, do(task, experiment.method, job)


def told(facts: Facts) -> tuple[str, int, float]:
    return facts.status, facts.n_steps_done, round(facts.sim_s, 6)


def test_just_enough_time_between_the_transfers() -> None:
    """2 s down and 3 s up leave 5 of 10 s; at level 2 that is just enough: done at 7, sent at 10."""
    task, update = play(2.0, 2.0, 3.0)
    assert told(update.facts) == ("completed", 4, 10.0)
    assert update.facts.macs == 4 * 8 * task.macs_per_example(task.structure.full_counts())
    assert (update.facts.download_bytes, update.facts.upload_bytes) == (model_bytes(), model_bytes())


def test_the_upload_begins_in_time() -> None:
    """At level 1.2 a step takes 2.5 / 1.2 = 2.083 s: two of them from t = 2 are done at 6.167; the third is
    cut off at 7, so that the upload arrives at 10. Charged are 5 s at level 1.2, 0.6 of the planned work.
    """
    task, update = play(1.2, 2.0, 3.0)
    assert told(update.facts) == ("partial", 2, 10.0)
    planned = 4 * 8 * task.macs_per_example(task.structure.full_counts())
    assert update.facts.macs == pytest.approx(0.6 * planned, abs=1)


def test_an_update_that_is_lost_is_waited_for_until_the_deadline() -> None:
    """The same client where partial work is dropped: its two steps are charged, and nothing is sent."""
    _, update = play(1.2, 2.0, 3.0, overrun="drop")
    assert told(update.facts) == ("dropped", 2, 10.0)
    assert (update.facts.upload_bytes, update.arrays) == (0, {})


def test_waiting_makes_the_round_longer() -> None:
    """At level 1.2 the work takes 8.333 s: done at 10.333, sent at 13.333."""
    _, update = play(1.2, 2.0, 3.0, overrun="wait")
    assert told(update.facts) == ("completed", 4, 13.333333)


@pytest.mark.parametrize("upload_s", [10.0, 11.0, 30.0])
def test_waiting_for_an_upload_longer_than_the_round(upload_s: float) -> None:
    """The client has no time at all to compute, and the server waits: 1 s down, 5 s of work at level 2."""
    _, update = play(2.0, 1.0, upload_s, overrun="wait")
    assert told(update.facts) == ("completed", 4, 6.0 + upload_s)


def test_transfers_that_leave_no_time() -> None:
    """6 s down and 5 s up do not fit into 10 s: nothing is computed or sent; what came is counted."""
    _, update = play(1e9, 6.0, 5.0)
    assert (update.facts.status, update.facts.macs, update.facts.upload_bytes) == ("dropped", 0, 0)
    assert update.facts.download_bytes == model_bytes()
    assert update.arrays == {}


def test_distreal_leaves_room_for_its_coverage() -> None:
    """At level 2 the model's own transfers leave just enough for the full network, but DISTREAL also keeps
    room to send which steps kept which channels (a bit each): it takes a smaller vector, and is in time.
    """
    task, update = play(2.0, 2.0, 3.0, method="distreal", overrun="drop")
    facts = update.facts
    assert facts.status == "completed"
    assert facts.sim_s <= 10.0
    cut = [kept for kept in update.coverage.kept if kept is not None]
    assert any(not kept[0].all() for kept in cut)
    assert facts.upload_bytes == model_bytes() + sum(math.ceil(kept.size / 8) for kept in cut)
    assert facts.macs < 4 * 8 * task.macs_per_example(task.structure.full_counts())
