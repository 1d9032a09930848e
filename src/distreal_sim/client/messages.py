"""What travels between server and client, and what the server keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

Arrays = Mapping[str, np.ndarray]
"""Parameters by name, at the width the network was built with."""

Status = Literal["completed", "partial", "dropped", "diverged"]
"""All planned steps counted; some did; none did; none, for the weights were no finite numbers."""

STATUSES: tuple[Status, ...] = get_args(Status)

Precision = Literal["float32", "bfloat16"]
"""Of the products in training steps; parameters and their updates are float32."""

Counts = tuple[int, ...]
"""(G,) kept channels of each coupling group."""


@dataclass(frozen=True)
class State:
    """What a method keeps from round to round; extras: whatever it needs beside the model's parameters."""

    arrays: Arrays
    extras: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What goes to a client: the arrays it starts from and, for methods that need it, further settings.

    start_s: absolute simulated time at which the round begins. memory: what this client kept from its last
    round; it does not travel.
    """

    client_id: int
    round_number: int
    start_s: float
    arrays: Arrays
    settings: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    memory: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """One client's round, as it goes into clients.parquet.

    sim_s: simulated seconds from the round's start until the client was done, the deadline if its update was
    lost; mean_keep_rate: kept share of
    channels, averaged over coupling groups and finished steps (NaN without one); train_loss: mean over the
    examples of the finished steps (NaN without one).
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

    arrays: empty if the update was lost. coverage: for each coupling group which of the finished steps kept
    which channels, (n_steps, channels) bool, or None where every step kept all. step_examples: (n_steps,)
    int64, examples of each of these steps. memory: what the client keeps for its next round (it does not
    travel); None leaves what it had.
    """

    facts: Facts
    arrays: Arrays
    coverage: tuple[np.ndarray | None, ...]
    step_examples: np.ndarray
    memory: Arrays | None = None

    @property
    def n_steps(self) -> int:
        """Finished steps."""
        return len(self.step_examples)

    @property
    def counts(self) -> bool:
        """Whether the update takes part in the merge."""
        return self.facts.status in ("completed", "partial")
