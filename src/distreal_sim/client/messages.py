"""What travels between server and client, and what the server keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

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
    """One client's round, as it goes into clients.parquet.

    sim_s: simulated seconds from the round's start until the client was done, the deadline if its update was
    lost; mean_keep_rate: kept share of channels, averaged over coupling groups and finished steps (NaN
    without one); train_loss: mean over the examples of the finished steps (NaN without one).
    """

    client_id: int
    status: Status
    n_examples: int
    n_steps_planned: int
    n_steps_done: int
    macs: int
    sim_s: float
    mean_keep_rate: float
    download_bytes: int
    upload_bytes: int
    train_loss: float


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
    def is_merged(self) -> bool:
        """Whether the update takes part in the merge."""
        return self.facts.status in ("completed", "partial")
