"""FedRolex: sub-networks are a window of channels that rolls by one every round.

Alam, Liu, Yan, Zhang: FedRolex: Model-Heterogeneous Federated Learning with Rolling Sub-Model Extraction.
NeurIPS 2022, arXiv 2212.01548.

Paper: in round j a client of capacity beta trains, of each layer with K channels, the floor(beta K) from
j mod K on, around the end; so every channel is trained equally often, and the server's network may be
larger than any client's. A coordinate is averaged over the clients that hold it, unweighted.

Differs from the paper: the largest of `levels` that fits a client's capacity at the start of the round, where
the paper gives or draws the levels; a client that fits none skips the round. The first round has j = 0 (our
choice). The official code rolls the other way (`direction: down`, the mirror image) and rounds up (`rounding:
ceil`). Like HeteroFL's, from which it comes, it leaves classes that a client has no example of out of the
client's loss and of the merge of the classifier's rows (`mask_labels`); its scaler and its clipped gradients
are left out here. Channels of a concatenation roll part by part, and the average is weighted by examples;
`merge.weight: clients` is the paper's (our choice).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.methods import DrawMask, Method
from distreal_sim.submodels.levels import Level, PerRound
from distreal_sim.submodels.steps import classes_of, steps_among
from distreal_sim.submodels.widths import HALVES, Rounding, Widths, of_widths
from distreal_sim.thinning.masks import draw_orders, take


class FedRolex(Method):
    """A rolling window of channels, fixed for a round."""

    widths: Widths = Field(
        HALVES,
        description="shares of channels, of which a client takes the largest that fits; n: 1/n, 2/n, ..., 1",
    )
    direction: Literal["up", "down"] = Field(
        "up",
        description="up: the window moves from channel 0 to 1, as in the paper; down: to the last one",
    )
    rounding: Rounding = Field(
        "floor", description="of share times channels (the official code: ceil); at least one stays"
    )
    mask_labels: bool = Field(
        True, description="scores and classifier rows of classes that a client has no example of rest"
    )

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    def levels(self, task: Task) -> PerRound:
        return of_widths(task, self.widths, self.rounding)

    def masks(self, client: Client, job: Job) -> DrawMask:
        orders = self.orders(client.task, client.round.number)
        return lambda step, counts: take(client.task.structure, orders, counts)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        task = client.task
        return steps_among(task.scoring.learning, self._classes(task, client.id), task.device)

    def orders(self, task: Task, round_number: int) -> list[np.ndarray]:
        """The channels of each group from the window's start on; sub-models of all levels begin there."""
        moves = round_number - 1
        rng = Rngs(task.seed, (round_number,))("fedrolex")  # rolling takes nothing from it
        return draw_orders(task.structure, rng, "rolling", moves if self.direction == "up" else -moves)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        merged = weighted_average(
            task.structure,
            state.arrays,
            updates,
            task.merge.weighs_by,
            outputs=lambda update: self._classes(task, update.facts.client_id),
        )
        return State(merged, state.extras)

    def _classes(self, task: Task, client_id: int) -> np.ndarray | None:
        return classes_of(task, client_id) if self.mask_labels else None
