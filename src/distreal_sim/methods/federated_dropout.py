"""Federated Dropout: in every round a client trains a random sub-network, drawn by the server.

Caldas, Konecny, McMahan, Talwalkar: Expanding the Reach of Federated Learning by Reducing Client Resource
Requirements. 2018, arXiv 1812.07210.

Paper: one keep fraction for all clients (0.5 to 0.875); each convolution keeps that share of its filters,
each hidden linear layer a fixed number of its units, input and outputs are never cut; the sub-network is
sent, trained and mapped back, and the rest of the model gets no update from that client.

Differs from the paper: by default the share is no constant. A client takes the largest of `levels` that fits
its capacity at the start of the round, as later comparisons with heterogeneous devices do, and skips the
round if none fits (`keep` sets the paper's one share, and clients that it does not fit overrun). Nothing is
quantised or compressed. How the paper averages, and whether the clients of a round share one sub-network, we
know from secondary sources only, so both are options; the defaults, one per client and an average over those
who hold a coordinate, are those of the public reproductions. The average is weighted by examples, and theirs
by `merge.weight: clients` (our choice). Channels that an identity skip adds are one draw, and channels of a
concatenation are drawn part by part, each part rounded for itself (our choice).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.merging.average import weighted_average
from distreal_sim.methods import DrawMask, Method
from distreal_sim.submodels.levels import Always, PerRound
from distreal_sim.submodels.widths import HALVES, Rounding, Share, Widths, of_widths
from distreal_sim.thinning.masks import draw_orders, take


class FederatedDropout(Method):
    """Random sub-networks, fixed for a round."""

    keep: Share | None = Field(
        None,
        description="share of channels that every client keeps, whatever it can compute; instead of levels",
    )
    widths: Widths = Field(
        HALVES,
        description="shares of channels, of which a client takes the largest that fits; n: 1/n, 2/n, ..., 1",
    )
    sub_models: Literal["per_client", "per_round"] = Field(
        "per_client",
        description="channels are drawn for each client, or for all clients of a round (narrower levels are "
        "then part of wider ones)",
    )
    average: Literal["count", "zero_update"] = Field(
        "count",
        description="a coordinate is averaged over the clients that hold it, or over all, the others "
        "counting as unchanged",
    )
    rounding: Rounding = Field("floor", description="of share times channels; at least one stays")

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    def levels(self, task: Task) -> Always | PerRound:
        if self.keep is not None:
            return Always(of_widths(task, (self.keep,), self.rounding).levels[0])
        return of_widths(task, self.widths, self.rounding)

    def masks(self, client: Client, job: Job) -> DrawMask:
        whose = (client.id,) if self.sub_models == "per_client" else ()
        rng = Rngs(client.task.seed, (client.round.number,))("federated dropout", *whose)
        structure = client.task.structure
        orders = draw_orders(structure, rng, "random")
        return lambda step, counts: take(structure, orders, counts)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        weight = task.merge.weighs_by
        dilute = self.average == "zero_update"
        return State(
            weighted_average(task.structure, state.arrays, updates, weight, dilute=dilute), state.extras
        )
