"""The order of a round; no other module knows it. Other orders than rounds: `simulation.steps`.

cohort -> plan -> train on the clients -> merge in client order -> clock -> test -> rows -> checkpoint
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from distreal_sim.client.coding import decode_update, moved_as, sent_models
from distreal_sim.client.messages import Arrays, Facts, Job, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.methods import Method
from distreal_sim.simulation.asked import first_state, jobs_of, learnt, merged
from distreal_sim.simulation.asking import Asking
from distreal_sim.simulation.batteries import Levels, levels_after
from distreal_sim.simulation.callbacks import OnRound, StopRun, unseen
from distreal_sim.simulation.client_scores import rows_of_clients, score_columns, summary
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.fleet import Fleet
from distreal_sim.simulation.flights import Flight, Timekeeper
from distreal_sim.simulation.relay import relayed
from distreal_sim.simulation.rows import ClientRow, ClientRows, RoundRow, Scores, Timing
from distreal_sim.simulation.watch import Watch
from distreal_sim.submodels.submodel import SubModel


class Recorder(Protocol):
    """Records the rows and the checkpoints."""

    def write(self, row: RoundRow, rows: Sequence[ClientRow], timing: Timing) -> None:
        """Adds a round."""
        ...

    def commit(self, progress: Progress, contexts: dict[int, bytes]) -> None:
        """Makes everything up to this round durable; does nothing unless it is the last one written."""
        ...


@dataclass(frozen=True)
class Progress:
    """The state of a simulation between two rounds.

    sim_s: simulated time; statistics: batch-norm statistics of the last test; jobs: those that are still
    running, and n_dispatches: dispatches of jobs so far, where the order is not that of rounds; selection:
    the memory of the selection; batteries: levels when the last jobs were done.
    """

    round_number: int
    sim_s: float
    state: State
    statistics: Arrays
    jobs: tuple[Job, ...] = ()
    n_dispatches: int = 0
    selection: Arrays = field(default_factory=dict)
    batteries: Levels = field(default_factory=dict)


def start(experiment: Experiment, task: Task) -> Progress:
    """The progress before round 1."""
    return Progress(0, 0.0, first_state(experiment.method, task), {})


@dataclass(frozen=True)
class Simulation:
    """Plays the rounds of an experiment."""

    experiment: Experiment
    task: Task
    fleet: Fleet
    recorder: Recorder

    @property
    def method(self) -> Method:
        return self.experiment.method

    @cached_property
    def timekeeper(self) -> Timekeeper:
        """Times jobs before they are computed."""
        return Timekeeper(self.task, self.method)

    @property
    def on_schedule(self) -> bool:
        """Whether the start of every round is known in advance."""
        waits = self.task.overrun == "wait" or self.method.relays
        return self.experiment.round_end == "fixed" and not waits

    def is_committed(self, number: int) -> bool:
        """Whether a checkpoint is due after this round.

        The round before the last has one where the last is tested for being the last: in a longer run it is
        not, so a run that is extended plays it again.
        """
        rounds = self.experiment.rounds
        if number == rounds - 1 and not self.task.evaluation.due(rounds):
            return True
        return number == rounds or number % self.experiment.checkpoint_every == 0

    def next_round(self, before: Progress) -> tuple[Round, Arrays, Asking]:
        """(the round after `before`, the selection's memory after its choice, and its questions)."""
        number, n_rounds = before.round_number + 1, self.experiment.rounds
        now = Round(number, n_rounds, before.sim_s, self.task.local.rate(number, n_rounds))
        asking = Asking(self.task, self._trained, now, before.state.arrays)
        cohort, memory = select_cohort(
            self.experiment,
            self.task,
            number,
            before.sim_s,
            before.selection,
            losses=asking.losses,
            gradients=asking.gradients,
        )
        now = replace(now, cohort=tuple(cohort), n_selected=len(cohort), delay_s=asking.delay_s)
        return now, memory, asking

    def train(self, jobs: Sequence[Job], batteries: Levels) -> Iterator[Update]:
        """One decoded update per job, in the order of the jobs; batteries: their levels before the jobs."""
        if self.task.devices.have_batteries:
            return self._train_on(jobs, batteries)
        if any(job.after is not None for job in jobs):
            return relayed(self._trained, jobs, self.task.merge.weighs_by)
        return self._trained(jobs)

    def _trained(self, jobs: Sequence[Job]) -> Iterator[Update]:
        got = sent_models(self.task, jobs)
        return map(self._decoded, jobs, got, self.fleet.train(got))

    def _train_on(self, jobs: Sequence[Job], batteries: Levels) -> Iterator[Update]:
        flights = self.timekeeper.flights(jobs, batteries)
        self.timekeeper.forget(flights)
        computed = self.fleet.train([flight.got for flight in flights if flight.is_computed])
        for flight in flights:
            update = flight.timed
            if flight.is_computed:
                update = self._decoded(flight.job, flight.got, next(computed))
            yield update.reporting(**flight.battery)

    def result(self, flight: Flight) -> Update:
        """The decoded update of a job that was submitted."""
        return self._decoded(flight.job, flight.got, self.fleet.result(flight.got))

    def _decoded(self, sent: Job, got: Job, update: Update) -> Update:
        arrays = update.arrays
        if arrays and not self.task.codec.exact:
            parts = self.method.travels(self.task, got, update)
            arrays = decode_update(self.task, got, update, parts)
        moved = moved_as(arrays, got.arrays, sent.arrays)
        return update if moved is update.arrays else replace(update, arrays=moved)

    def merge(self, state: State, now: Round, updates: Iterator[Update]) -> State:
        """The next state, published; the state itself if nothing is computed."""
        computes = self.task.computes
        return self.published(merged(self.method, self.task, state, now, updates) if computes else state)

    def published(self, state: State) -> State:
        """The state with its arrays published, for tests and for the next round."""
        return State(self.fleet.publish(state.arrays), state.extras)

    def begun(self, progress: Progress) -> Progress:
        """The progress with every model published once; its jobs are submitted."""
        models = {id(job.arrays): job.arrays for job in progress.jobs}
        state = self.published(progress.state)
        known = {key: self.fleet.publish(arrays) for key, arrays in models.items()}
        known[id(progress.state.arrays)] = state.arrays
        jobs = tuple(replace(job, arrays=known[id(job.arrays)]) for job in progress.jobs)
        flights = self.timekeeper.flights(jobs, progress.batteries)
        self.fleet.submit([flight.got for flight in flights if flight.is_computed])
        return replace(progress, state=state, jobs=jobs)

    def duration_s(self, sim_s: Sequence[float]) -> float:
        """Simulated seconds of a round; sim_s: simulated seconds of each of its clients."""
        last_s = max(sim_s, default=0.0)
        if self.experiment.round_end == "early" and sim_s:
            return last_s
        waits = self.task.overrun == "wait" or self.method.relays
        return max(self.task.deadline_s, last_s) if waits else self.task.deadline_s

    def end_s(self, now: Round, duration_s: float) -> float:
        """Absolute simulated time at the end of the round; exact, without summation, if on schedule."""
        return now.number * self.task.deadline_s if self.on_schedule else now.start_s + duration_s

    def test(self, state: State, now: Round, facts: Sequence[Facts], statistics: Arrays) -> Scores | None:
        """Tests the model if a test is due in this round; statistics: those of the last test."""
        task, method = self.task, self.method
        due = task.evaluation.due(now.number) or now.number == self.experiment.rounds
        if not due or not task.computes:
            return None
        who = [f.client_id for f in facts if f.status in ("completed", "partial")] or now.cohort
        if who:  # without clients the model and its statistics are the old ones
            statistics = self.fleet.statistics(state.arrays, now.number, who)
        found = self.fleet.evaluate(state.arrays, statistics, now.number)
        tested, classes = task.scoring.values(found), task.scoring.of_classes(found)
        submodel, widest = None, method.widest(task, state)
        if widest == SubModel(task.full):
            submodel = tested
        elif widest is not None and who:
            own = self.fleet.statistics(state.arrays, now.number, who, widest)
            narrow = self.fleet.evaluate(state.arrays, own, now.number, widest)
            submodel = task.scoring.values(narrow)
        if task.own_tests is None:
            return Scores(tested, submodel, statistics, classes=classes)
        by_client = self.fleet.evaluate_clients(state.arrays, statistics, now.number)
        clients = rows_of_clients(task, by_client)
        of_clients = summary(clients, task.scoring.better)
        return Scores(tested, submodel, statistics, clients, of_clients, classes)


class Tally:
    """Iterates over updates for the merge and collects the facts of all of them."""

    def __init__(self, updates: Iterator[Update]) -> None:
        self._updates, self._facts = updates, list[Facts]()

    def that_count(self) -> Iterator[Update]:
        """The updates that take part in the merge."""
        for update in self._updates:
            self._facts.append(update.facts)
            if update.is_merged:
                yield update

    def drain(self) -> list[Facts]:
        """The facts of all updates, including those that the merge did not read."""
        deque(self.that_count(), maxlen=0)
        return self._facts


def play_round(sim: Simulation, before: Progress) -> tuple[Progress, RoundRow]:
    """One round."""
    begin_wall_s = time.perf_counter()
    now, selection, asking = sim.next_round(before)
    jobs = jobs_of(sim.method, sim.task, before.state, now)
    updates = Tally(sim.train(jobs, before.batteries))
    state = sim.merge(before.state, now, updates.that_count())
    facts = updates.drain()
    state = learnt(sim.method, sim.task, state, now, facts)
    facts = asking.joined(facts)
    merged_wall_s = time.perf_counter()
    duration_s = sim.duration_s([f.sim_s for f in facts])
    end_s = sim.end_s(now, duration_s)
    scores = sim.test(state, now, facts, before.statistics)
    timing = Timing(now.number, merged_wall_s - begin_wall_s, time.perf_counter() - merged_wall_s)
    offered = [sim.task.devices.capacity(f.client_id, now.start_s).offered(0.0, duration_s) for f in facts]
    own = sim.experiment.columns
    rows = ClientRows.of_round(now.number, facts, offered, own)
    row = RoundRow.of(now.number, end_s, scores, rows, own, *score_columns(sim.task))
    sim.recorder.write(row, rows, timing)
    statistics = scores.statistics if scores else before.statistics
    selection = sim.experiment.selection.learn(selection, now.number, facts)
    batteries = levels_after(before.batteries, now.start_s, facts)
    after = Progress(now.number, end_s, state, statistics, selection=selection, batteries=batteries)
    return after, row


Play = Callable[[Simulation, Progress], tuple[Progress, RoundRow]]
"""Plays a round, or what stands in its place."""


def simulate(
    sim: Simulation,
    progress: Progress,
    on_round: OnRound = unseen,
    watch: Watch | None = None,
    keep: Callable[[Progress], None] = lambda progress: None,
    play: Play = play_round,
) -> Progress:
    """Plays all rounds after `progress`, recording and committing them, or as many as `watch` wants.

    keep: told to keep the best model so far, before its round is committed. StopRun from on_round is raised
    again after the round is committed, unless it was the last round. Ctrl-C, or a signal with the same
    effect, commits the last finished round unless clients keep memory, which then belongs to the middle of a
    round.
    """
    experiment = sim.experiment
    watch = Watch(experiment, sim.task.scoring.better) if watch is None else watch
    progress = sim.begun(progress)
    try:
        while progress.round_number < experiment.rounds and not watch.ended:
            progress, row = play(sim, progress)
            if watch.see(row.cells):
                keep(progress)
            if watch.ended or sim.is_committed(progress.round_number):
                sim.recorder.commit(progress, sim.fleet.contexts())
            on_round(row, progress.state)
    except StopRun:
        sim.recorder.commit(progress, sim.fleet.contexts())
        if progress.round_number < experiment.rounds and not watch.ended:
            raise
    except KeyboardInterrupt:
        if not sim.fleet.contexts():
            sim.recorder.commit(progress, {})
        raise
    return progress
