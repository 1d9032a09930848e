"""A run in this process, which sends no messages, gives what messages give."""

from __future__ import annotations

from typing import Any

import pytest
from misbehaving import Remembering
from rounds import Rows, model_bytes
from toys import toy, toy_fleet
from variants import SOME, by_default

from distreal_sim.base.plugins import names
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.grids.serial import SerialFleet
from distreal_sim.methods import Method
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.rounds import Simulation, play_round, start

METHODS: dict[str, Any] = {name: {"name": name} for name in names(Method)} | {"remembering": Remembering()}


def outcome(experiment: Experiment, task: Task, fleet: Fleet) -> tuple[Any, ...]:
    """Model, statistics, rows and what the clients keep after two rounds from the initial model."""
    task.engine.load({name: p.detach().numpy() for name, p in task.module.named_parameters()})
    progress, rows = start(experiment, task), Rows()
    for _ in range(2):
        progress, _ = play_round(Simulation(experiment, task, fleet, rows), progress)
    statistics = {name: array.tobytes() for name, array in progress.statistics.items()}
    return model_bytes(progress.state), statistics, repr(rows.rounds), repr(rows.clients), fleet.contexts()


@pytest.mark.parametrize("method", by_default(METHODS, ("remembering", *SOME)))
def test_messages_change_nothing(method: str) -> None:
    """Every bundled method, and one whose clients remember: without and with the encoding and decoding."""
    experiment = toy(method=METHODS[method])
    task, through_messages = toy_fleet(experiment)
    expected = outcome(experiment, task, through_messages)
    assert outcome(experiment, task, SerialFleet(task, experiment.method)) == expected
    assert bool(expected[-1]) == (method == "remembering")


def test_memories_go_through_a_checkpoint() -> None:
    """What the clients keep is restored, bit for bit, by the other kind of fleet too."""
    experiment = toy(method=Remembering())
    task, through_messages = toy_fleet(experiment)
    fleet = SerialFleet(task, experiment.method)
    kept = outcome(experiment, task, fleet)[-1]
    for other in (through_messages, SerialFleet(task, experiment.method)):
        other.restore(kept)
        assert other.contexts() == kept
