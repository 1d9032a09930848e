"""Who is there, and when, for `inspect availability`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from distreal_sim.base.text import add_row, counted, say, show, table
from distreal_sim.client.task import Task
from distreal_sim.config import Experiment
from distreal_sim.devices.presence import Presence
from distreal_sim.inspection.heterogeneity import state_lines
from distreal_sim.inspection.rows import sample
from distreal_sim.inspection.sparkline import MAX_WIDTH, marks_of, sparkline

MAX_ROWS = 20
"""Clients that are listed one by one."""

MAX_CLIENTS = 1000
"""Clients that are looked at."""

N_ROUNDS = 10
"""Rounds that are looked at."""


def print_availability(experiment: Experiment, task: Task, console: Console) -> None:
    """Prints when clients are there over the first rounds, and how many of them can be selected."""
    n_rounds = min(N_ROUNDS, experiment.rounds)
    client_ids = np.array(sample(len(task.split), MAX_CLIENTS))
    starts_s = [number * task.deadline_s for number in range(n_rounds)]
    able = np.array([task.devices.available(client_ids, r + 1, s) for r, s in enumerate(starts_s)])
    name = experiment.availability.name
    if task.devices.come_and_go:
        shown = table(
            f"{name}: when clients are there", "client|at t = 0|share of the time|times it leaves a round"
        )
        for row in sample(len(client_ids), MAX_ROWS):
            presence = task.devices.presence(int(client_ids[row]), 0.0)
            assert presence is not None
            share, n_leaves = presence_of(presence, n_rounds * task.deadline_s)
            at_0 = "there" if able[0, row] else "away"
            add_row(shown, client_ids[row], at_0, f"{share:.3f}", f"{n_leaves / n_rounds:.2f}")
    else:
        shown = table(f"{name}: who can be selected", "client|in round 1|share of the rounds")
        for row in sample(len(client_ids), MAX_ROWS):
            add_row(shown, client_ids[row], "yes" if able[0, row] else "no", f"{able[:, row].mean():.3f}")
    show(console, shown)
    for line in experiment.availability.notes():
        say(console, f"{line}.")
    which = f"{len(client_ids)} of {len(task.split):,} clients"
    say(console, f"Over the first {counted(n_rounds, 'round')} of {task.deadline_s:g} s; {which}.")
    shares = able.mean(axis=1)
    say(
        console,
        f"Share that can be selected: {shares.mean():.3f}, from {shares.min():.3f} to {shares.max():.3f}.",
    )
    if task.devices.come_and_go:
        for line in state_lines(experiment, task):
            say(console, line)
        say(console, "\n" + _over_time(task, client_ids, n_rounds, console))


def presence_of(presence: Presence, until_s: float) -> tuple[float, int]:
    """(share of the time from 0 to until_s that a client is there, how often it leaves)."""
    share, n_leaves, was_there = 0.0, 0, False
    for from_s, to_s, there in presence.pieces(0.0):
        if from_s >= until_s:
            break
        n_leaves += was_there and not there
        was_there = there
        share += (min(to_s, until_s) - from_s) / until_s if there else 0.0
    return share, n_leaves


def _over_time(task: Task, client_ids: Sequence[int] | np.ndarray, n_rounds: int, console: Console) -> str:
    """A sparkline of the share of clients that are there."""
    per_round = max(1, min(console.width, MAX_WIDTH) // n_rounds)
    times_s = np.arange(per_round * n_rounds) * task.deadline_s / per_round
    ids = np.asarray(client_ids)
    shares = [
        float(task.devices.available(ids, math.floor(t / task.deadline_s) + 1, t).mean()) for t in times_s
    ]
    title = f"Share that is there, {per_round} characters a round; full height is {max(shares):.3f}:"
    return f"{title}\n{sparkline(shares, marks_of(console))}"
