"""TS-FL, synchronous: servers that take part and their local epochs, chosen for the shortest training.

Xiao, Zhang, Li, Shi, Krunz, Nguyen, Hoang: Time-sensitive Learning for Heterogeneous Federated Edge
Intelligence. IEEE TMC 23(2):1382-1400, 2024, arXiv 2301.10977.

Paper (its abstract): the run time of the training is minimised; TS-FL-SC drops slow servers where their
effect on the accuracy is limited, and chooses the participating servers and the number of local epochs
jointly. The equations were not available to us, so this implements the mechanism described in the abstract:
a round of the servers S with E epochs lasts max over S of (transfers + E x seconds of an epoch), and the
training needs, up to a factor,
    (1 / E + drift E) (1 + 1 / |S|) / (1 - bias d^2)
such rounds, where d is the share of the cohort's examples that servers outside S hold; if the denominator is
not positive, it never ends. That is the form of the usual bounds of FedAvg (our formulation). For every E the
fastest 1, 2, ... servers are tried, which finds the best choice if all hold as many examples.

A server is a client here, and the cohort, `clients_per_round`, are the servers that may take part; those that
are left out get no job in the round. Times are those of each client's capacity and link at the start of the
round, where the paper has fixed ones. The gain is time, so rounds have to end early: `coordination: wait_all`
with `overrun: wait`, or `round_end: early`; in rounds of a fixed length nothing is gained.

The asynchronous half, TS-FL-ASC, is `coordination: fedasync` with all clients at work (`clients_per_round` =
`n_clients`): a server whose update is merged restarts from the new model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State
from distreal_sim.client.task import Task
from distreal_sim.methods import Method
from distreal_sim.submodels.levels import Always, Level, whole_network


class TsFl(Method):
    """FedAvg with the clients and the number of local epochs of the shortest expected training."""

    max_epochs: int = Field(10, ge=1, description="most local epochs of a round; they replace those of local")
    drift: float = Field(
        0.1,
        ge=0,
        allow_inf_nan=False,
        description="what an epoch adds to the rounds that are needed, relative to what the first one saves",
    )
    bias: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="how fast the rounds that are needed grow with the square of the share of dropped "
        "examples; none is enough from 1 / sqrt(bias) on",
    )

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return whole_network(task).levels

    def own_levels(self, client: Client, job: Job) -> Always:
        return whole_network(client.task)

    def plan(self, task: Task, state: State, now: Round) -> list[Job]:
        if not now.cohort:
            return []
        clients = [Client(task, client_id, now) for client_id in now.cohort]
        traffic = whole_network(task).level.traffic
        windows = [client.compute_window(traffic) for client in clients]
        transfers_s = [start_s + task.deadline_s - end_s for start_s, end_s in windows]
        epochs_s = [epoch_s(client) for client in clients]
        sizes = [len(client.examples) for client in clients]
        chosen, epochs = servers_and_epochs(
            transfers_s, epochs_s, sizes, self.max_epochs, self.drift, self.bias
        )
        n_selected = now.n_selected - len(clients) + len(chosen)
        planned = replace(now, epochs=epochs, n_selected=n_selected)
        return [Job(now.cohort[place], planned, state.arrays) for place in chosen]


def epoch_s(client: Client) -> float:
    """Seconds of an epoch with the whole network at the capacity of the round's start."""
    macs = client.task.charge_per_example(client.task.full) * len(client.examples)
    macs_per_s = client.capacity(0.0)
    return macs / macs_per_s if macs_per_s else math.inf


def servers_and_epochs(
    transfers_s: Sequence[float],
    epochs_s: Sequence[float],
    sizes: Sequence[int],
    max_epochs: int,
    drift: float,
    bias: float,
) -> tuple[list[int], int]:
    """(places of the servers that take part, local epochs) of the shortest training.

    transfers_s, epochs_s, sizes: of each server, seconds of its transfers and of an epoch, and its examples.
    Of choices that last as long, that of most servers, then of fewest epochs; all where none ever ends.
    """
    transfers, seconds = np.array(transfers_s, float), np.array(epochs_s, float)
    n = len(seconds)
    best = (math.inf, -n, 1, list(range(n)))
    for epochs in range(1, max_epochs + 1):
        lasts_s = transfers + epochs * seconds
        order = np.argsort(lasts_s, kind="stable")
        for n_servers in range(1, n + 1):
            chosen = sorted(order[:n_servers].tolist())
            total_s = training_s(lasts_s[chosen].max(), epochs, chosen, sizes, drift, bias)
            best = min(best, (total_s, -n_servers, epochs, chosen))
    return best[3], best[2]


def training_s(
    round_s: float, epochs: int, chosen: Sequence[int], sizes: Sequence[int], drift: float, bias: float
) -> float:
    """Expected seconds of the training, up to a factor, in rounds of this length; inf if it never ends."""
    dropped = 1 - sum(sizes[place] for place in chosen) / sum(sizes)
    left = 1 - bias * dropped**2
    return (1 / epochs + drift * epochs) * (1 + 1 / len(chosen)) / left * round_s if left > 0 else math.inf
