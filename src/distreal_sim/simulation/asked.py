"""Calls of a method on the server; the results are checked, because the method may be a user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from distreal_sim.base.errors import InputError, naming
from distreal_sim.client.messages import Facts, Job, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.simulation.control import controlled


def jobs_of(method: Method, task: Task, state: State, now: Round) -> list[Job]:
    """The jobs of a round. Raises InputError where `plan` raises or does not return a list of Jobs."""
    with naming(f"method {method.name}, planning round {now.number},"):
        jobs: Any = method.plan(task, state, now)
    if not isinstance(jobs, list | tuple):
        raise _wrong("plan", method, "a list of Jobs, one for each client of now.cohort", jobs)
    for job in jobs:
        if not isinstance(job, Job):
            raise _wrong("plan", method, "a list of Jobs and nothing else", job)
    return controlled(task, jobs)


def merged(method: Method, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
    """The state after a round. Raises InputError where `merge` raises or does not return a State."""
    with naming(f"method {method.name}, merging round {now.number},"):
        after: Any = method.merge(task, state, now, updates)
    if not isinstance(after, State):
        advice = "a State, such as task.merge.merge gives"
        raise _wrong("merge", method, advice, after)
    return after


def learnt(method: Method, task: Task, state: State, now: Round, facts: Sequence[Facts]) -> State:
    """The state after the facts of a round. Raises InputError where `learn` raises or gives no State."""
    with naming(f"method {method.name}, reading the facts of round {now.number},"):
        after: Any = method.learn(task, state, now, facts)
    if not isinstance(after, State):
        raise _wrong("learn", method, "a State, such as the one that it is given", after)
    return after


def first_state(method: Method, task: Task) -> State:
    """The state before round 1. Raises InputError where `start` raises or does not return a State."""
    initial = State(task.engine.export())
    with naming(f"method {method.name}, before round 1,"):
        state: Any = method.start(task, initial)
    if not isinstance(state, State):
        raise _wrong("start", method, "a State, such as the one that it is given", state)
    return state


def _wrong(what: str, method: Method, wanted: str, got: Any) -> InputError:
    name = "None" if got is None else type(got).__name__
    return InputError(f"{what}() of method {method.name} must return {wanted}, not {name}")
