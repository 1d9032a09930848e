"""The order of a round. Nothing else knows it.

cohort -> plan -> train on the clients -> merge in client order -> clock -> evaluate -> rows -> checkpoint
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from distreal_sim.client.messages import Arrays, Facts, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.simulation.rows import ClientRow, ClientRows, RoundRow, Tested, Timing


class Recorder(Protocol):
    """Where the rows and the checkpoints go."""

    def write(self, row: RoundRow, rows: Sequence[ClientRow], timing: Timing) -> None:
        """Adds a round."""
        ...

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        """Makes everything up to this round durable; does nothing unless it is the last one written."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a simulation stands between two rounds.

    sim_s: simulated time; statistics: batch-norm statistics of the last evaluation.
    """

    round_number: int
    sim_s: float
    state: State
    statistics: Arrays


def start(experiment: Experiment, task: Task) -> Progress:
    """Before round 1."""
    arrays = task.engine.export()
    return Progress(0, 0.0, experiment.method.start(task, State(arrays)), {})


def simulate(
    experiment: Experiment,
    task: Task,
    fleet: Fleet,
    progress: Progress,
    recorder: Recorder,
    on_round: Callable[[RoundRow], None] = lambda row: None,
) -> Progress:
    """Runs the rounds after `progress` to the end, recording and committing on the way.

    After Ctrl-C, or a signal that is answered like it, the last finished round is committed where clients
    keep nothing: what they keep belongs to the middle of a round then.
    """
    try:
        while progress.round_number < experiment.rounds:
            progress, row = play_round(experiment, task, fleet, progress, recorder)
            if (
                progress.round_number % experiment.checkpoint_every == 0
                or progress.round_number == experiment.rounds
            ):
                recorder.commit(progress, fleet.contexts())
            on_round(row)
    except KeyboardInterrupt:
        if not fleet.contexts():
            recorder.commit(progress, {})
        raise
    return progress


def play_round(
    experiment: Experiment, task: Task, fleet: Fleet, before: Progress, recorder: Recorder
) -> tuple[Progress, RoundRow]:
    """One round."""
    round_number = before.round_number + 1
    start_wall_s = time.perf_counter()
    cohort = select_cohort(experiment, task, round_number)
    jobs = experiment.method.plan(task, before.state, round_number, before.sim_s, cohort)
    facts: list[Facts] = []

    def counting() -> Iterator[Update]:
        for update in fleet.train(jobs):
            facts.append(update.facts)
            if update.counts:
                yield update

    updates = counting()
    state = experiment.method.merge(task, before.state, updates) if task.computes else before.state
    deque(updates, maxlen=0)  # those that the merge did not ask for are answers and facts like the others
    merged_wall_s = time.perf_counter()

    duration_s = round_duration(experiment, [f.sim_s for f in facts])
    end_s = round_number * task.deadline_s if on_schedule(experiment) else before.sim_s + duration_s
    statistics = before.statistics
    tested: Tested = None
    submodel: Tested = None
    due = round_number % experiment.evaluation.every == 0 or round_number == experiment.rounds
    if due and task.computes:
        who = [f.client_id for f in facts if f.status in ("completed", "partial")] or cohort
        # With nobody there the model is the old one, and so are its statistics.
        statistics = fleet.statistics(state.arrays, round_number, who) if who else before.statistics
        tested = fleet.evaluate(state.arrays, statistics, round_number)
        widest = experiment.method.widest(task, state)
        if widest == task.structure.full_counts():
            submodel = tested
        elif widest is not None and who:
            own = fleet.statistics(state.arrays, round_number, who, widest)
            submodel = fleet.evaluate(state.arrays, own, round_number, widest)
    evaluated_wall_s = time.perf_counter()

    offered = [task.capacity(f.client_id, before.sim_s).offered(0.0, duration_s) for f in facts]
    rows = ClientRows.of_round(round_number, facts, offered)
    row = RoundRow.of(round_number, end_s, tested, submodel, rows)
    timing = Timing(round_number, merged_wall_s - start_wall_s, evaluated_wall_s - merged_wall_s)
    recorder.write(row, rows, timing)
    return Progress(round_number, end_s, state, statistics), row


def round_duration(experiment: Experiment, sim_s: Sequence[float]) -> float:
    """Simulated seconds of a round; sim_s: of each of its clients."""
    last_s = max(sim_s, default=0.0)
    if experiment.round_end == "early" and sim_s:
        return last_s
    return (
        max(experiment.deadline_s, last_s) if experiment.method.overrun == "wait" else experiment.deadline_s
    )


def on_schedule(experiment: Experiment) -> bool:
    """Whether every round begins at a time that is known beforehand."""
    return experiment.round_end == "fixed" and experiment.method.overrun != "wait"
