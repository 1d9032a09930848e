"""DISTREAL: at every mini-batch a client takes the best dropout vector within its budget of the moment.

Rapp, Khalili, Pfeiffer, Henkel: DISTREAL: Distributed Resource-Aware Learning in Heterogeneous Systems.
AAAI 2022, 36(7), 8062-8071, arXiv 2112.08761.

Paper: filters of convolutions dropped at random, one rate per layer; the vectors come from a Pareto table
of resource needs and convergence speed, found ahead of time; a device looks its vector up as its resources
change, also inside a round, without the server. Our choices, where the paper's text was not available to
us: a budget is MAC/s now times the time left, spread over the examples left; coupled layers share a rate;
filters are uniform without replacement; dropped filters keep their values, momentum and weight decay
included; a coordinate is averaged over the clients that trained it, weighted by their examples. Below the
cheapest vector the cheapest is taken, and the deadline may be missed.

Differs from the paper with the options `filters`, `resample`, `distil` and `step_normalised` and with fronts
of shares, which are ours:
- front of shares: an entry is a vector and the share of the planned examples that it is for. It costs the
  vector's MACs for those, less what the steps so far took. The client trains the next mini-batch with the
  vector and looks up again, until the deadline. With the zero vector alone it is FedAvg with partial work.
- `ordered` filters are FjORD's ordered dropout (Horvath et al., NeurIPS 2021) with a vector in place of one
  width, and the widest sub-network trained so far is tested together with the full width; `rolling` ones
  are FedRolex's window (Alam et al., NeurIPS 2022), which begins with channel j mod C of C after j rounds,
  the same for all clients. Every mini-batch keeps as much of it as its vector says.
- `distil`: FjORD's self-distillation; see `submodels.per_step.pick_pair` for which sub-networks.
- `step_normalised`: see `merging.normalised`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import Field
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.task import Task
from distreal_sim.client.train import skip, train
from distreal_sim.fronts.front import Front
from distreal_sim.fronts.option import DropLinear, FrontOption, front_of, settled_front
from distreal_sim.merging.normalised import step_normalised_average
from distreal_sim.methods import DrawMask, Method
from distreal_sim.submodels.levels import PerStep
from distreal_sim.submodels.per_step import Orders, Resample, distilled, front_levels, step_orders
from distreal_sim.submodels.prefixes import growing, widest_trained
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.thinning.engine.engine import Scaling
from distreal_sim.thinning.masks import Select, take
from distreal_sim.thinning.structure import Structure


class Distreal(Method):
    """Per-layer filter dropout chosen by each client for each mini-batch."""

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    front: FrontOption = "auto"
    drop_linear: DropLinear = "auto"
    filters: Select = Field(
        "random",
        description="which filters stay: a random draw, the first ones, or a window that moves every round",
    )
    resample: Resample = Field(
        "batch",
        description="random filters are redrawn every mini-batch, every n mini-batches, or once a round",
    )
    scaling: Scaling = Field("none", description="inverted: kept activations are multiplied by C / kept")
    distil: bool = Field(
        False,
        description="self-distillation: the largest sub-network that fits also teaches a smaller one",
    )
    step_normalised: bool = Field(
        False, description="a coordinate's updates are divided by how often each was trained, as in FedNova"
    )

    def scaling_of(self, module: nn.Module) -> Scaling:
        return self.scaling

    def settled(self, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> Self:
        front = settled_front(self.front, model, dataset, self.model_dump(mode="json"))
        return self.model_copy(update={"front": front})

    def build_front(self, module: nn.Module, structure: Structure) -> Front:
        front = front_of(self.front, self.drop_linear, module, structure)
        if self.distil and front.has_shares:
            raise InputError(
                "method.distil cannot be used with a front of shares: its pupils need part of the budget, "
                "and the share of an entry was chosen for steps without a pupil; set method.distil to false, "
                "or use a front without shares"
            )
        return front

    def levels(self, task: Task) -> PerStep | None:
        return None if self.distil else front_levels(task)

    @property
    def redraws(self) -> bool:
        return self.filters == "random" and self.resample == "batch"

    def masks(self, client: Client, job: Job) -> DrawMask:
        orders = self.orders(client)
        return lambda step, counts: take(client.task.structure, orders(step), counts)

    def orders(self, client: Client) -> Orders:
        """Of which channels each step of a client's round keeps the first ones."""
        rng, structure = client.rngs("masks"), client.task.structure
        return step_orders(structure, rng, self.filters, self.resample, client.round.number)

    def train(self, client: Client, job: Job) -> Update:
        if not self.distil:
            return super().train(client, job)
        if not client.has_memory_for(client.task.full):
            return skip(client, "out_of_memory")
        traffic = front_levels(client.task).levels[0].traffic
        return train(client, job, distilled(client, self.orders(client)), traffic)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        def merged(seen: Iterator[Update]) -> State:
            if not self.step_normalised:
                return task.merge.merge(task, state, now, seen)
            weight, momentum = task.merge.weighs_by, task.local.momentum
            arrays = step_normalised_average(task.structure, state.arrays, seen, weight, momentum=momentum)
            return State(arrays, state.extras)

        return (
            growing(task.structure, state, updates, merged) if self.filters == "ordered" else merged(updates)
        )

    def widest(self, task: Task, state: State) -> SubModel | None:
        return widest_trained(state)
