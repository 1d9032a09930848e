"""What travels between server and client, and what the server keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from distreal_sim.client.columns import column
from distreal_sim.client.coverage import Coverage

Arrays = Mapping[str, np.ndarray]
"""Parameters by name, at the width the network was built with."""

Status = Literal["completed", "partial", "dropped", "diverged"]
"""All planned steps counted; some did; none did; none, for the weights were no finite numbers."""

STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class State:
    """What a method keeps from round to round; extras: whatever it needs beside the model's parameters."""

    arrays: Arrays
    extras: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One round, as the server begins it.

    number: from 1; n_rounds: the planned number of rounds; start_s: absolute simulated time of its start;
    lr: learning rate of its steps; cohort: ids of its clients, ascending, and () where a client is told of
    its round, which does not know the others.
    """

    number: int
    n_rounds: int
    start_s: float
    lr: float
    cohort: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job:
    """What goes to a client: the round, and the arrays that it starts from.

    memory: what this client kept from its last round; it does not travel.
    """

    client_id: int
    round: Round
    arrays: Arrays
    memory: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """One client's round, as it goes into clients.parquet: a field declared here is a column there.

    metrics: what else the method reports, by the names of its `Method.columns`.
    """

    client_id: int = column("the client")
    status: Status = column(  # noqa: RUF009  (a dataclass field)
        "what became of its update: completed, partial, dropped or diverged"
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


@dataclass(frozen=True)
class Update:
    """What comes back from a client.

    arrays: empty if the update was lost. coverage: which of the finished steps kept which channels. memory:
    what the client keeps for its next round (it does not travel); None leaves what it had.
    """

    facts: Facts
    arrays: Arrays
    coverage: Coverage
    memory: Arrays | None = None

    @property
    def n_steps(self) -> int:
        """Finished steps."""
        return self.coverage.n_steps

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the method reports of the client's round."""
        return self.facts.metrics

    def reporting(self, **metrics: float) -> Update:
        """The update with further metrics."""
        return replace(self, facts=replace(self.facts, metrics={**self.metrics, **metrics}))

    @property
    def is_merged(self) -> bool:
        """Whether the update takes part in the merge."""
        return self.facts.status in ("completed", "partial")
