"""The order of a simulation without rounds: clients start and end by events, and the server takes steps.

The coordination says when; `events.Clock` moves the time. A job's end is known before it is computed, so jobs
are handed to the fleet when they start, and their results are asked for only when they are needed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from distreal_sim.base.errors import RunError
from distreal_sim.client.messages import Arrays, Facts, Job, Round, State, Update
from distreal_sim.merging.stale import deviations, moved, towards, trained_shares
from distreal_sim.server.coordination import Server
from distreal_sim.simulation.asked import jobs_of, learnt
from distreal_sim.simulation.batteries import Charge, charge_of
from distreal_sim.simulation.client_scores import score_columns
from distreal_sim.simulation.cohort import select_cohort
from distreal_sim.simulation.cut import cut_short
from distreal_sim.simulation.events import Clock
from distreal_sim.simulation.flights import Flight
from distreal_sim.simulation.rounds import Progress, Simulation, Tally
from distreal_sim.simulation.rows import ClientRows, RoundRow, Timing

PATIENCE = 10_000
"""Jobs in a row, for each client that may be at work, that may bring the server no update."""


def play_step(sim: Simulation, before: Progress) -> tuple[Progress, RoundRow]:
    """One step of the server, and the events before it."""
    begin_wall_s = time.perf_counter()
    desk = Desk(sim, before)
    desk.wait_until_due()
    updates = Tally(desk.updates())
    state = desk.merged(updates.that_count())
    facts = [*updates.drain(), *desk.cancel()]
    facts.sort(key=lambda f: (f.client_id, f.metrics["start_s"]))
    now, end_s = desk.round, desk.now_s
    state = learnt(sim.method, sim.task, state, now, facts)
    merged_wall_s = time.perf_counter()
    scores = sim.test(state, now, facts, before.statistics)
    timing = Timing(now.number, merged_wall_s - begin_wall_s, time.perf_counter() - merged_wall_s)
    own = sim.experiment.columns
    rows = ClientRows.of_round(now.number, facts, [desk.offered(f) for f in facts], own)
    row = RoundRow.of(now.number, end_s, scores, rows, own, *score_columns(sim.task))
    sim.recorder.write(row, rows, timing)
    statistics = scores.statistics if scores else before.statistics
    selection = desk.learnt(facts)
    after = Progress(
        now.number, end_s, state, statistics, desk.jobs, desk.n_dispatches, selection, desk.batteries
    )
    return after, row


class Desk:
    """The server's jobs between two of its steps.

    now_s: simulated time; jobs: those that are running; n_dispatches: dispatches of jobs so far; batteries:
    levels when the last jobs were done.
    """

    def __init__(self, sim: Simulation, before: Progress) -> None:
        self._sim, self._before = sim, before
        self._rules, self._n_per_round = sim.experiment.coordination, sim.experiment.clients_per_round
        self._clock = Clock[Flight | None](before.sim_s)
        self._running: dict[int, Flight] = {}
        self._ended: list[Flight] = []
        self._taken: dict[Flight, Update] = {}
        self._n_received, self._timer_rang = 0, False
        self.n_dispatches, self._selection = before.n_dispatches, before.selection
        self.batteries = dict(before.batteries)
        self._await(sim.timekeeper.flights(before.jobs, before.batteries))
        self._timer_s = self._rules.timer_s(self._server)
        self._clock.schedule(self._timer_s, None, priority=len(sim.task.split))

    @property
    def now_s(self) -> float:
        return self._clock.now_s

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(flight.job for flight in self._running.values())

    @property
    def round(self) -> Round:
        """The server's step as a round; its cohort are the clients whose jobs have ended."""
        return self._round(self._before.sim_s, {flight.client_id for flight in self._ended})

    def _round(self, start_s: float, cohort: Sequence[int] | set[int], dispatch: int = 0) -> Round:
        number, n_rounds = self._before.round_number + 1, self._sim.experiment.rounds
        lr = self._sim.task.local.rate(number, n_rounds)
        at_work = len(cohort) + len(self._running)
        return Round(number, n_rounds, start_s, lr, tuple(sorted(cohort)), at_work, dispatch)

    @property
    def _server(self) -> Server:
        return Server(
            self.now_s,
            self._before.sim_s,
            self._n_per_round,
            len(self._running),
            len(self._ended),
            self._n_received,
            self._timer_rang,
        )

    def wait_until_due(self) -> None:
        """Handles events and starts jobs until the server is to take its step.

        Raises RunError if nothing comes of them.
        """
        n_in_vain, most = 0, PATIENCE * self._rules.most_running(self._n_per_round)
        while n_in_vain < most:
            if self._clock.next_s > self.now_s:
                self._start(self._rules.n_to_start(self._server))
            if self._clock.next_s == math.inf:  # nobody is available: ask again later
                self._clock.schedule(self.now_s + self._sim.task.deadline_s, None)
            flight = self._clock.advance()
            n_in_vain = 0 if flight is not None and self._end(flight) else n_in_vain + 1
            self._timer_rang = self.now_s >= self._timer_s and flight is None
            if self._rules.is_due(self._server):
                return
        raise RunError(
            f"coordination {self._rules.name}: {most:,} jobs or waits in a row brought no update, until "
            f"{self.now_s:g} s of simulated time: no client is available, or none does its work in time, in "
            "its memory or on its battery"
        )

    def _await(self, flights: Sequence[Flight]) -> None:
        for flight in flights:
            self._running[flight.client_id] = flight
            self._clock.schedule(flight.end_s, flight, priority=flight.client_id)

    def _start(self, n: int) -> None:
        if n <= 0:
            return
        sim, self.n_dispatches = self._sim, self.n_dispatches + 1
        chosen, self._selection = select_cohort(
            sim.experiment, sim.task, self.n_dispatches, self.now_s, self._selection, n, self._running
        )
        for flight in self._ended:  # what a client kept from its last job goes into its next one
            if flight.client_id in chosen:
                self._take(flight)
        now = self._round(self.now_s, chosen, self.n_dispatches)
        jobs = jobs_of(sim.method, sim.task, self._before.state, now) if chosen else []
        flights = sim.timekeeper.flights(jobs, self.batteries)
        self._await(flights)
        first = sorted(flights, key=lambda f: f.end_s)
        sim.fleet.submit([flight.got for flight in first if flight.is_computed])

    def _end(self, flight: Flight) -> bool:
        """Ends a job; whether it brings an update that is accepted."""
        del self._running[flight.client_id]
        self._ended.append(flight)
        self._discharge(flight, flight.timed.facts, flight.charge)
        received = flight.timed.is_merged and self._rules.accepts(self._staleness(flight))
        self._n_received += received
        return received

    def _discharge(self, flight: Flight, facts: Facts, charge: Charge | None) -> None:
        if charge is not None:
            self.batteries[flight.client_id] = flight.start_s + facts.sim_s, charge.end_j

    def _staleness(self, flight: Flight) -> int:
        return self._before.round_number - flight.version

    def _take(self, flight: Flight) -> Update:
        if flight not in self._taken:
            self._taken[flight] = self._sim.result(flight) if flight.is_computed else flight.timed
        return self._taken[flight]

    def updates(self) -> Iterator[Update]:
        """The updates of the jobs that have ended, by client and start, as they enter the merge."""
        present, least = self._before.state.arrays, self._rules.least_received(self._n_per_round)
        is_abandoned = self._n_received < least
        for flight in sorted(self._ended, key=lambda f: (f.client_id, f.start_s)):
            update, staleness = self._take(flight), self._staleness(flight)
            del self._taken[flight]
            refused = update.is_merged and (is_abandoned or not self._rules.accepts(staleness))
            if refused:
                update = replace(update, facts=replace(update.facts, status="dropped"))
            elif self._rules.moves == "change":
                update = moved(update, flight.job.arrays, present)
            update = replace(update, weight=self._rules.weight(staleness))
            own = _columns(flight, flight.end_s, staleness, refused=refused)
            yield update.reporting(**own, **flight.battery)

    def merged(self, updates: Iterator[Update]) -> State:
        """The state after the step; the state itself if nothing is computed."""
        state, task, rules, weights = self._before.state, self._sim.task, self._rules, list[float]()
        if not task.computes:
            return state
        shares = None
        if rules.compares or rules.dilutes:
            together = self._compared(list(updates)) if rules.compares else list(updates)
            updates = iter(together)
            if rules.dilutes:
                shares = trained_shares(task.structure, state.arrays, together, task.merge.weighs_by)

        def weighed() -> Iterator[Update]:
            for update in updates:
                weights.append(update.weight)
                yield update

        after = self._sim.merge(state, self.round, weighed())
        rate = rules.rate(weights) if weights else 1.0
        return self._sim.published(State(towards(state.arrays, after.arrays, rate, shares), after.extras))

    def _compared(self, updates: Sequence[Update]) -> list[Update]:
        """The updates of a step with the weights of their deviations."""
        ages = [int(update.metrics["staleness"]) for update in updates]
        apart = deviations(updates, [age == 0 for age in ages], self._before.state.arrays)
        weigh = self._rules.weight
        return [replace(u, weight=weigh(age, d)) for u, age, d in zip(updates, ages, apart, strict=True)]

    def cancel(self) -> list[Facts]:
        """Ends the jobs that this step cancels; the last step of a run cancels all."""
        self._sim.timekeeper.forget(self._ended)
        if self._rules.overlaps and self.round.number < self.round.n_rounds:
            return []
        flights, self._running = list(self._running.values()), {}
        self._sim.fleet.withdraw([flight.got for flight in flights if flight.is_computed])
        self._sim.timekeeper.forget(flights)
        found = []
        for flight in flights:
            facts, charge = self._until_now(flight)
            self._discharge(flight, facts, charge)
            own = {} if charge is None else charge.columns
            own |= _columns(flight, self.now_s, self._staleness(flight), cancelled=True)
            found.append(replace(facts, metrics={**facts.metrics, **own}))
        return found

    def _until_now(self, flight: Flight) -> tuple[Facts, Charge | None]:
        """What a job came to that is cancelled now, and what it did to its client's battery."""
        task, job, charge, after_s = self._sim.task, flight.job, flight.charge, self.now_s - flight.start_s
        if not flight.is_computed and flight.timed.facts.sim_s <= after_s:
            return flight.timed.facts, charge
        facts = cut_short(task, job, flight.timed, after_s)
        return facts, None if charge is None else charge_of(task, job, facts, charge.start_j)

    def learnt(self, facts: Sequence[Facts]) -> Arrays:
        """The selection's memory after the step."""
        return self._sim.experiment.selection.learn(self._selection, self.round.number, facts)

    def offered(self, facts: Facts) -> float:
        """MACs that the client's capacity offered from the start of its job to its end."""
        start_s, end_s = facts.metrics["start_s"], facts.metrics["end_s"]
        return self._sim.task.devices.capacity(facts.client_id, start_s).offered(0.0, end_s - start_s)


def _columns(
    flight: Flight, end_s: float, staleness: int, *, cancelled: bool = False, refused: bool = False
) -> dict[str, float]:
    """The values of `client.columns.OF_JOBS`."""
    return {
        "start_s": flight.start_s,
        "end_s": end_s,
        "staleness": float(staleness),
        "cancelled": float(cancelled),
        "refused": float(refused),
    }
