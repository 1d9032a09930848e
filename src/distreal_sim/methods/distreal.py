"""DISTREAL: at every mini-batch a client takes the best dropout vector that its compute budget allows now.

Rapp, Khalili, Pfeiffer, Henkel: DISTREAL: Distributed Resource-Aware Learning in Heterogeneous Systems.
AAAI 2022, 36(7), 8062-8071, arXiv 2112.08761.

Paper: filters of convolutions dropped at random, one rate per layer; the vectors come from a Pareto table
of resource needs and convergence speed, found ahead of time; a device looks its vector up as its resources
change, also inside a round, without the server. Our choices, where the paper's text was not available to
us: a budget is MAC/s now times the time left, spread over the examples left; coupled layers share a rate;
filters are uniform without replacement; dropped filters keep their values, momentum and weight decay
included; a coordinate is averaged over the clients that trained it, weighted by their examples. Below the
cheapest vector the cheapest is taken, and the deadline may be missed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from torch import nn

from distreal_sim import fronts
from distreal_sim.capacity import Capacity
from distreal_sim.front import Front, fingerprint, make_front, uniform_rates
from distreal_sim.front_file import load_front
from distreal_sim.local import train
from distreal_sim.methods import Method
from distreal_sim.plugins import ConfigPath
from distreal_sim.rng import Rngs
from distreal_sim.schedule import Moment
from distreal_sim.task import Task
from distreal_sim.thinning.engine import Scaling
from distreal_sim.thinning.masks import Mask, Select, draw_orders, take
from distreal_sim.thinning.structure import Structure
from distreal_sim.types import Counts, Job, Update


class UniformFront(BaseModel):
    """A front of vectors with one rate for all layers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uniform: int = Field(ge=1, description="number of rates: 0, 1/n, ..., (n-1)/n")


DEFAULT = UniformFront(uniform=16)
"""What is taken where no front is bundled."""

Named = Annotated[
    Annotated[UniformFront, Tag("UniformFront")] | Annotated[fronts.BundledFront, Tag("BundledFront")],
    Discriminator(lambda front: "BundledFront" if "bundled" in _keys(front) else "UniformFront"),
]
"""A front that is given by keys and values."""


def _keys(front: Any) -> Collection[str]:
    """The keys of a front in a config, or of one that was read from it."""
    if isinstance(front, BaseModel):
        return type(front).model_fields
    return front if isinstance(front, Mapping) else ()


class Distreal(Method):
    """Per-layer filter dropout chosen by each client for each mini-batch."""

    trains_parts: ClassVar[bool] = True

    overrun: Literal["drop", "partial", "wait"] = Field(
        "partial",
        description="a client still computing at the deadline: drop, merge the partial work, or wait",
    )
    front: Annotated[Literal["auto"] | Named | ConfigPath, AfterValidator(fronts.available)] = Field(
        "auto",
        description="auto: the bundled front of this model, data set and way of thinning, or {uniform: 16}; "
        "{uniform: n}; {bundled: name}; or the path of a front file",
    )
    drop_linear: bool = Field(False, description="hidden linear layers are thinned too")
    filters: Select = Field("random", description="which filters stay: a random draw, or the first ones")
    resample: Literal["batch", "round"] | Annotated[int, Field(ge=1)] = Field(
        "batch", description="filters are redrawn every mini-batch, every n mini-batches, or once a round"
    )
    scaling: Scaling = Field("none", description="inverted: kept activations are multiplied by C / kept")

    def scaling_of(self, module: nn.Module) -> Scaling:
        return self.scaling

    def settled(self, model: Mapping[str, Any], dataset: Mapping[str, Any]) -> Self:
        front = self.front
        if front == "auto":
            name = fronts.find(model, dataset, self.model_dump(mode="json"))
            front = fronts.pinned(name) if name else DEFAULT
        elif isinstance(front, fronts.BundledFront) and front.content is None:
            front = fronts.pinned(front.bundled)
        return self.model_copy(update={"front": front})

    def build_front(self, module: nn.Module, structure: Structure) -> Front:
        groups = structure.thinnable(self.drop_linear)
        model = fingerprint(module)
        front = DEFAULT if self.front == "auto" else self.front
        if isinstance(front, UniformFront):
            rates = uniform_rates(front.uniform, len(groups))
            made = {"how": "uniform rates", "entries": front.uniform, "score": "relative MACs"}
            return make_front(structure, groups, rates, None, model=model, made=made)
        if isinstance(front, fronts.BundledFront):
            found = load_front(fronts.path_of(front.bundled), structure, groups, model)
            return fronts.annotated(found, front.bundled)
        return load_front(front, structure, groups, model)

    def train(self, task: Task, job: Job, capacity: Capacity, rngs: Rngs) -> Update:
        front = task.front
        assert front is not None
        return train(
            task,
            job,
            capacity,
            rngs,
            choose=lambda moment: pick(front, moment),
            draw_mask=self._masks(task.structure, rngs("masks")),
            overrun=self.overrun,
        )

    def _masks(self, structure: Structure, rng: np.random.Generator) -> Callable[[int, Counts], Mask | None]:
        orders: list[np.ndarray] = []

        def draw(step: int, counts: Counts) -> Mask | None:
            nonlocal orders
            fresh = self.resample == "batch" or (self.resample != "round" and step % self.resample == 0)
            if fresh or not orders:
                orders = draw_orders(structure, rng, self.filters)
            return take(structure, orders, counts)

        return draw


def pick(front: Front, moment: Moment) -> Counts:
    """Kept channels of the best entry with which all examples left fit the capacity of this moment."""
    return front.entries[front.lookup(moment.budget_macs / moment.n_left)].counts
