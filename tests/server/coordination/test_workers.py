"""The bytes do not depend on who computes, where several jobs are on their way from different models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rounds import Rows, model_bytes
from runs.compare import assert_same_results
from toys import toy_fleet
from worlds import events, played, world

from distreal_sim.config import Experiment
from distreal_sim.run import run
from distreal_sim.simulation.rounds import Simulation, start
from distreal_sim.simulation.steps import play_step


def experiment(coordination: dict[str, Any], **changes: Any) -> Experiment:
    """Seven clients of whom four are at work; they remember, so that a lost or doubled job would show."""
    values = {"method": {"name": "misbehaving.Remembering"}, "rounds": 8, "clients_per_round": 4, **changes}
    return world([1, 2, 4, 1.3, 2.9, 3.1, 0.7], coordination, **values)


@pytest.mark.parametrize(
    "coordination",
    [{"name": "fedbuff", "buffer": 3}, {"name": "fedasync"}, {"name": "first_k", "over": 1.5}],
)
def test_messages_give_what_calls_give(coordination: dict[str, Any]) -> None:
    """At most four jobs are sent ahead; the memory of a cancelled job is not kept, even if it was done."""
    chosen = experiment(coordination)
    whole = played(chosen, trained=True)
    task, fleet = toy_fleet(chosen)
    progress, rows = start(chosen, task), Rows()
    for state in whole.states[1:]:
        progress, _ = play_step(Simulation(chosen, task, fleet, rows), progress)
        assert model_bytes(progress.state) == model_bytes(state)
        fleet.statistics(progress.state.arrays, 1, [0])  # a message while jobs are on their way
    assert [(row.round, row.client_id, row.metrics["end_s"]) for row in rows.clients] == [
        (row.round, row.client_id, row.metrics["end_s"]) for row in whole.clients
    ]
    assert len(events(whole)) == len(rows.clients)


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2, 4])
@pytest.mark.parametrize(
    "coordination",
    [
        {"name": "fedbuff", "buffer": 3},
        {"name": "fedasync", "max_staleness": 2},
        {"name": "first_k", "over": 1.5},
        {"name": "semi_async", "period_s": 1.1},
        {"name": "wait_all"},
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_ray_gives_what_serial_gives(coordination: dict[str, Any], n_workers: int, tmp_path: Path) -> None:
    chosen = experiment(coordination, rounds=20)
    run(chosen, tmp_path / "serial", grid="serial")
    run(chosen, tmp_path / "ray", grid="ray", n_workers=n_workers)
    assert_same_results(tmp_path / "serial", tmp_path / "ray")
