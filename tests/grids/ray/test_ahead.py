"""Which worker gets a job before it has answered the last."""

from __future__ import annotations

from collections import deque

import pytest
from flwr.app import Message, RecordDict

from distreal_sim.grids.flower.grid import identify
from distreal_sim.grids.ray import grid as ray
from distreal_sim.grids.ray.grid import Call, Parcel, RayGrid
from distreal_sim.grids.ray.team import Team


def call(name: str) -> Call:
    return Call(name, None, None, 0.0)


def parcel() -> Parcel:
    identify()
    return Parcel(Message(RecordDict(), dst_node_id=1, message_type="train"), RecordDict(), {}, 0)


@pytest.mark.parametrize(
    ("idle", "n_queued", "n_starting", "expected"),
    [
        (["idle"], 1, 0, "idle"),
        ([], 4, 0, "late"),
        ([], 3, 0, None),
        ([], 4, 1, None),
        ([], 5, 1, "late"),
    ],
)
def test_the_worker_that_got_its_message_last(
    idle: list[str], n_queued: int, n_starting: int, expected: str | None
) -> None:
    """Costly jobs are sent first. Three are at work, one of them with a second job; as many jobs as there are
    workers, those included that are starting, wait for whoever is done first.
    """
    grid = RayGrid.__new__(RayGrid)
    grid._team = Team(lambda: None)
    grid._team.idle = list(idle)
    grid._team.starting = dict.fromkeys(range(n_starting))
    grid._queue = deque(map(str, range(n_queued)))
    early, late, full = deque([call("a")]), deque([call("b")]), deque([call("c"), call("d")])
    grid._working = {"early": early, "late": late, "full": full}
    grid._parcels = {name: parcel() for name in [*"abcd", *grid._queue]}
    assert grid._free_worker() == expected


def test_a_job_whose_worker_died_has_one_to_itself() -> None:
    """Nothing goes ahead behind it, and it does not go ahead itself."""
    grid = RayGrid.__new__(RayGrid)
    grid._team = Team(lambda: None)
    grid._queue = deque(map(str, range(9)))
    grid._working = {"early": deque([call("a")]), "late": deque([call("b")])}
    grid._parcels = {name: parcel() for name in [*"ab", *grid._queue]}
    grid._parcels["b"].alone = True
    assert grid._free_worker() == "early"
    grid._parcels["0"].alone = True
    assert grid._free_worker() is None
    grid._team.idle = ["idle"]
    assert grid._free_worker() == "idle"


def test_who_has_answered_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers are over their time; the answer of one is there, but nobody has looked at it yet."""
    grid = RayGrid.__new__(RayGrid)
    grid._timeout_wall_s = 1.0
    waiting, answered = (Call(name, name, None, -10.0) for name in ("a", "b"))
    grid._working = {"hung": deque([waiting]), "done": deque([answered])}
    late: list[str] = []
    monkeypatch.setattr(grid, "_redo", lambda worker, what, why: late.append(worker))
    monkeypatch.setattr(ray.ray, "wait", lambda refs, timeout: (refs, []) if refs == ["b"] else ([], refs))
    grid._give_up()
    assert late == ["hung"]
