"""Rounds of the toy experiment without a run directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from toys import toy, toy_fleet

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.simulation.rounds import Progress, play_round, start


class Rows:
    """A recorder that keeps the rows in memory."""

    def __init__(self) -> None:
        self.rounds: list[Any] = []
        self.clients: list[Any] = []

    def write(self, row: Any, rows: list[Any], timing: Any) -> None:
        self.rounds.append(row)
        self.clients += rows

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        pass


@dataclass
class Played:
    """states: before round 1 and after each round; clients, rounds: the rows."""

    task: Task
    states: list[State]
    clients: list[Any] = field(default_factory=list)
    rounds: list[Any] = field(default_factory=list)

    @property
    def model(self) -> dict[str, bytes]:
        """The last model's bytes."""
        return model_bytes(self.states[-1])


def model_bytes(state: State) -> dict[str, bytes]:
    """The parameters' bytes by name."""
    return {name: array.tobytes() for name, array in state.arrays.items()}


def play(rounds: int, **changes: Any) -> Played:
    """Plays the first rounds of the toy experiment with some top-level keys replaced."""
    experiment = toy(rounds=rounds, **changes)
    task, fleet = toy_fleet(experiment)
    progress, rows = start(experiment, task), Rows()
    states = [progress.state]
    for _ in range(rounds):
        progress, _ = play_round(experiment, task, fleet, progress, rows)
        states.append(progress.state)
    return Played(task, states, rows.clients, rows.rounds)


def updates_of(experiment: Any, n_clients: int = 8) -> tuple[Task, State, list[Update]]:
    """The task, the initial state and the first clients' updates of it in round 1."""
    task = build(experiment)
    state = start(experiment, task).state
    updates = []
    for job in experiment.method.plan(task, state, 1, 0.0, list(range(n_clients))):
        rngs = Rngs(task.seed, (1, job.client_id))
        updates.append(experiment.method.train(task, job, task.capacity(job.client_id, 0.0), rngs))
    return task, state, updates
