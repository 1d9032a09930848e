"""Ordered DISTREAL: every mini-batch trains the first filters of each layer, as many as its vector says.

Our formulation (2026); we know of no paper that has it. It joins two published methods:
- from DISTREAL (Rapp, Khalili, Pfeiffer, Henkel, AAAI 2022, arXiv 2112.08761) the dropout vectors, one rate a
  layer, from a Pareto table made ahead of time, and the choice: before every mini-batch a client takes the
  best vector that its capacity allows just then;
- from FjORD (Horvath, Laskaridis, Almeida, Leontiadis, Venieris, Lane, NeurIPS 2021, arXiv 2102.13451) the
  ordered dropout: of each layer the first filters stay, so that a cheaper sub-network and its weights are
  part of the dearer ones, and no random draw.

Differs from DISTREAL: filters are not drawn at random. It is `distreal` with `filters: ordered` under a name
of its own. Differs from FjORD: one rate per layer instead of one width for all; the vector is the best that
fits, not a random one up to it, and follows the capacity inside the round; a coordinate is averaged over the
clients that trained it, not over those whose largest width holds it. `distil` is FjORD's self-distillation
(see `_thinned.pick_pair`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from torch import nn

from distreal_sim.base.rng import Rngs
from distreal_sim.client.messages import Arrays, Job, State, Update
from distreal_sim.client.task import Task
from distreal_sim.devices.capacity import Capacity
from distreal_sim.fronts.front import Front
from distreal_sim.fronts.option import FrontOption, front_of, settled_front
from distreal_sim.methods import Method, OverrunOption
from distreal_sim.methods._options import Distil, DropLinear, ScalingOption
from distreal_sim.submodels.levels import Ladder
from distreal_sim.submodels.per_step import front_entries, step_orders, train_distilled, train_thinned
from distreal_sim.submodels.prefixes import merge_prefixes, widest_trained
from distreal_sim.thinning.engine.engine import Scaling
from distreal_sim.thinning.structure import Counts, Structure


class OrderedDistreal(Method):
    """Ordered dropout with a vector of rates that each client chooses for each mini-batch."""

    trains_parts: ClassVar[bool] = True

    overrun: OverrunOption = "partial"
    front: FrontOption = "auto"
    drop_linear: DropLinear = "auto"
    scaling: ScalingOption = "none"
    distil: Distil = False

    def scaling_of(self, module: nn.Module) -> Scaling:
        return self.scaling

    def settled(self, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> Self:
        options = {**self.model_dump(mode="json"), "filters": "ordered"}
        return self.model_copy(update={"front": settled_front(self.front, model, dataset, options)})

    def build_front(self, module: nn.Module, structure: Structure) -> Front:
        return front_of(self.front, self.drop_linear, module, structure)

    def train(self, task: Task, job: Job, capacity: Capacity, rngs: Rngs) -> Update:
        orders = step_orders(task.structure, rngs("masks"), "ordered", "batch", job.round_number)
        round_of = train_distilled if self.distil else train_thinned
        return round_of(task, job, capacity, rngs, orders, overrun=self.overrun)

    def ladder(self, task: Task, arrays: Arrays) -> Ladder | None:
        return None if self.distil else front_entries(task, arrays)

    def merge(self, task: Task, state: State, updates: Iterator[Update]) -> State:
        return merge_prefixes(task, state, updates, self.weight)

    def widest(self, task: Task, state: State) -> Counts | None:
        return widest_trained(state)
