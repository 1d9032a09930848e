"""Messages between server and client, and the server's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from distreal_sim.client.columns import column
from distreal_sim.client.coverage import Coverage

Arrays = Mapping[str, np.ndarray]
"""Parameters by name, at the width the network was built with."""

Status = Literal["completed", "partial", "dropped", "diverged", "out_of_memory", "battery", "asked"]
"""completed: all planned steps count; partial: some count; dropped: none counts; diverged: none counts,
because the weights are not finite numbers; out_of_memory: no step fits into the client's memory; battery:
none counts, because its battery was down to the reserve or came down to it; asked: it was asked by the
selection and not selected."""

STATUSES: tuple[Status, ...] = get_args(Status)


GRADIENT = "gradient/"
"""Prefix of the names of an update's arrays that are the gradient of a parameter and no parameter."""


@dataclass(frozen=True)
class State:
    """A method's state between rounds.

    arrays: the global model's parameters by name; extras: arrays that the method keeps in addition to them.
    """

    arrays: Arrays
    extras: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One round at its start.

    number: from 1; n_rounds: the planned number of rounds; start_s: absolute simulated time of its start;
    lr: learning rate of its steps; cohort: ids of its clients, ascending; () on a client, which does not
    know the others; n_selected: how many they are, without rounds how many are at work then; dispatch:
    number, from 1, of the dispatch of jobs, 0 where each round has one; epochs, steps: planned work of a job
    for which the server chose it (`Method.plan`), both 0 for that of `local`; asks: `gradient` or `loss`
    for a client that answers with that instead of training; delay_s: from the start until clients may train.

    Without rounds (`coordination`) a job has a Round of its own: its number is that of the server's next step
    when the job starts, and a client may start twice before that step.
    """

    number: int
    n_rounds: int
    start_s: float
    lr: float
    cohort: tuple[int, ...] = ()
    n_selected: int = 0
    dispatch: int = 0
    epochs: int = 0
    steps: int = 0
    asks: str = ""
    delay_s: float = 0.0

    @property
    def key(self) -> int:
        """Number that keys the random draws of its clients; no client has two jobs of the same key."""
        return self.dispatch or self.number


@dataclass(frozen=True)
class Job:
    """A job for a client: the round, and the arrays that the client starts from.

    memory: the arrays that this client kept from its last round; they do not travel. told: numbers for this
    client alone, by name, which count as no bytes. after: the client of the same round from whose model this
    one starts instead (`Method.relays`).
    """

    client_id: int
    round: Round
    arrays: Arrays
    memory: Arrays = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)
    after: int | None = None


@dataclass(frozen=True)
class Facts:
    """The facts of one client's round; each field declared here is a column of clients.parquet.

    metrics: further values that the method reports, by the names of its `Method.columns`.
    """

    client_id: int = column("the client")
    status: Status = column(  # noqa: RUF009  (a dataclass field)
        "what became of its update: completed, partial, dropped, diverged, out_of_memory, battery or asked"
    )
    n_examples: int = column("its training examples")
    n_steps_planned: int = column("mini-batches that it planned")
    n_steps_done: int = column("mini-batches that it finished in time")
    macs: int = column("multiply-accumulates that it did, an unfinished step included", "sum")
    sim_s: float = column(
        "simulated seconds from the round's start until it was done, the deadline if its update was lost"
    )
    mean_keep_rate: float = column(
        "kept share of channels, mean over coupling groups and finished steps; empty without one",
        optional=True,
    )
    download_bytes: int = column("bytes that it was sent", "sum")
    upload_bytes: int = column("bytes that it sent", "sum")
    train_loss: float = column(
        "mean over the examples of the finished steps; empty without one", optional=True
    )
    metrics: Mapping[str, float] = field(default_factory=dict)
    download_s: float = column("simulated seconds of its download", default=0.0)
    compute_s: float = column(
        "simulated seconds from the end of its download until it stopped computing; what is left of sim_s is "
        "the upload, or the wait for the deadline",
        default=0.0,
    )


@dataclass(frozen=True)
class Update:
    """A client's update.

    facts: its row of clients.parquet. arrays: the parameters that it trained, by name, each of the full
    network's shape; empty if the update was lost. coverage: which of the finished steps kept which channels.
    memory: arrays that the client keeps for its next round (they do not travel); None: its memory stays as it
    was. travels_whole: whether the arrays travel whole, also what no step kept.
    weight: factor of its weight in a merge, which the server sets (`Coordination.weight`); 0 for one that is
    in another client's model already (`Job.after`).
    """

    facts: Facts
    arrays: Arrays
    coverage: Coverage
    memory: Arrays | None = None
    travels_whole: bool = False
    weight: float = 1.0

    @property
    def n_steps(self) -> int:
        """Finished steps."""
        return self.coverage.n_steps

    @property
    def metrics(self) -> Mapping[str, float]:
        """Values that the method reports about the client's round."""
        return self.facts.metrics

    def reporting(self, **metrics: float) -> Update:
        """The update with further metrics."""
        return replace(self, facts=replace(self.facts, metrics={**self.metrics, **metrics}))

    @property
    def is_merged(self) -> bool:
        """Whether the update takes part in the merge."""
        return self.facts.status in ("completed", "partial") and self.weight > 0
