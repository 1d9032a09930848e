"""Rounds of the toy experiment without a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toys import toy, toy_fleet

from distreal_sim.client.client import do
from distreal_sim.client.messages import Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config.build import build
from distreal_sim.simulation.rounds import Progress, Simulation, play_round, start

ROUND = Round(1, 4, 0.0, 0.1)
"""The toy experiment's first round, as a client or a merge sees it."""


def round_of(cohort: Sequence[int], number: int = 1, start_s: float = 0.0) -> Round:
    """A round of the toy experiment with this cohort."""
    return replace(ROUND, number=number, start_s=start_s, cohort=tuple(cohort))


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
        progress, _ = play_round(Simulation(experiment, task, fleet, rows), progress)
        states.append(progress.state)
    return Played(task, states, rows.clients, rows.rounds)


def updates_of(experiment: Any, n_clients: int = 8) -> tuple[Task, State, list[Update]]:
    """The task, the initial state and the first clients' updates of it in round 1."""
    task = build(experiment)
    state = start(experiment, task).state
    now = replace(round_of(range(n_clients)), lr=task.local.rate(1, experiment.rounds))
    jobs = experiment.method.plan(task, state, now)
    return task, state, [do(task, experiment.method, job) for job in jobs]
