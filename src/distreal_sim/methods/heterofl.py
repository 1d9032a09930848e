"""HeteroFL: clients train the first channels of every layer, more or fewer by their level.

Diao, Ding, Tarokh: HeteroFL: Computation and Communication Efficient Federated Learning for Heterogeneous
Clients. ICLR 2021, arXiv 2010.01264.

Paper and its public code: levels a to e are the widths 1, 1/2, 1/4, 1/8, 1/16; a client at level r gets the
first ceil(r K) of K channels of every hidden layer, all inputs and all classes, trains them, and the server
averages every coordinate over the clients that held it, unweighted; one that nobody held stays. Masked
cross-entropy: the scores of classes of which the client has no example are set to 0, and the server averages
their rows of the classifier without it. Activations are divided by r in training (scaler). Static batch norm:
statistics for testing are re-estimated with the learned weights (`evaluation.batch_norm: reestimate`).

Differs from the paper:
- By default a client takes the largest level that fits its capacity at the start of the round, and skips the
  round if none fits. The paper gives the levels: once and for all (`assignment: fixed`) or drawn again each
  round (`dynamic`), in given proportions; a client then trains its level whatever its capacity. (our choice)
- The scaler stands before a normalisation in the public code, which undoes it but for the normalisation's
  epsilon, so with any normalisation in the network we leave it out. Without one, kept activations are
  multiplied by channels / kept where the next layer reads them, which is 1 / r wherever r K is whole, and
  less where it was rounded up. (derived)
- Gradients are clipped only with `local.clip_norm`, so that all methods take the same steps; the public code
  clips to norm 1. (our choice)
- Statistics for testing are estimated on some batches of the round's clients, in the public code on the whole
  training set. (our choice)
- The average is weighted by examples; `merge.weight: clients` is the paper's unweighted one. (our choice)
- Which classes a client has is known to the server and costs no bytes. (our choice)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from distreal_sim.base.rng import Rngs
from distreal_sim.client.client import Client
from distreal_sim.client.messages import Job, Round, State, Update
from distreal_sim.client.schedule import Compute
from distreal_sim.client.task import Task
from distreal_sim.methods import DrawMask, Method
from distreal_sim.submodels.levels import Always, Level, Levels, PerRound
from distreal_sim.submodels.prefixes import merge_prefixes, widest_trained
from distreal_sim.submodels.steps import classes_of, steps_among
from distreal_sim.submodels.submodel import SubModel
from distreal_sim.submodels.widths import HALVES, Widths, of_widths, prefix_masks
from distreal_sim.thinning.engine.engine import Scaling


class HeteroFL(Method):
    """The first channels of every layer, as many as the client's level has."""

    widths: Widths = Field(HALVES, description="shares of channels; n: 1/n, 2/n, ..., 1")
    assignment: Literal["budget", "fixed", "dynamic"] = Field(
        "budget",
        description="a client's level: the largest that fits its capacity at the start of the round; one for "
        "ever; or drawn again each round",
    )
    proportions: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = Field(
        None, description="fixed, dynamic: relative numbers of clients at the levels; equal if not given"
    )
    mask_labels: bool = Field(
        True,
        description="scores and classifier rows of classes that a client has no example of rest",
    )
    scaler: bool = Field(
        True, description="without normalisation in the network: activations times channels / kept"
    )

    trains_parts: ClassVar[bool] = True
    thins: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check(self) -> HeteroFL:
        if self.proportions is None:
            return self
        if len(self.proportions) != len(self.widths) or not sum(self.proportions):
            raise ValueError(
                f"proportions {list(self.proportions)} must be {len(self.widths)} numbers, one for each "
                "level, of which at least one is not 0"
            )
        if self.assignment == "budget":
            raise ValueError("proportions are for assignment fixed or dynamic; with budget capacity decides")
        return self

    def scaling_of(self, module: nn.Module) -> Scaling:
        norms = _NormBase, nn.GroupNorm, nn.LayerNorm
        return (
            "inverted" if self.scaler and not any(isinstance(m, norms) for m in module.modules()) else "none"
        )

    def levels(self, task: Task) -> PerRound | None:
        return self.sub_models(task) if self.assignment == "budget" else None

    def own_levels(self, client: Client, job: Job) -> Levels:
        if self.assignment == "budget":
            return super().own_levels(client, job)
        index = self.assigned(client.task, client.round.number, client.id)
        return Always(self.sub_models(client.task).levels[index])

    def masks(self, client: Client, job: Job) -> DrawMask:
        return prefix_masks(client.task.structure)

    def compute(self, client: Client, job: Job, level: Level) -> Compute:
        task = client.task
        return steps_among(task.scoring.learning, self._classes(task, client.id), task.device)

    def sub_models(self, task: Task) -> PerRound:
        """The sub-model of each width."""
        return of_widths(task, self.widths, "ceil")

    def all_levels(self, task: Task) -> tuple[Level, ...]:
        return self.sub_models(task).levels

    def assigned(self, task: Task, round_number: int, client_id: int) -> int:
        """Index of the level that a client is given: in every round, or in this one."""
        shares = np.array(self.proportions or [1.0] * len(self.widths))
        shares = shares / shares.sum()
        if self.assignment == "dynamic":
            return int(
                Rngs(task.seed, (round_number, client_id))("heterofl level").choice(len(shares), p=shares)
            )
        n_clients = len(task.split)
        place = int(places(task.seed, n_clients)[client_id])
        # The clients in a random order are cut at the cumulated shares, so that their numbers are exact.
        bounds = np.floor(np.cumsum(shares) * n_clients + 0.5)
        return min(int(np.searchsorted(bounds, place, side="right")), len(shares) - 1)

    def merge(self, task: Task, state: State, now: Round, updates: Iterator[Update]) -> State:
        def classes(update: Update) -> np.ndarray | None:
            return self._classes(task, update.facts.client_id)

        return merge_prefixes(task, state, updates, classes)

    def widest(self, task: Task, state: State) -> SubModel | None:
        return widest_trained(state)

    def _classes(self, task: Task, client_id: int) -> np.ndarray | None:
        return classes_of(task, client_id) if self.mask_labels else None


@lru_cache(maxsize=2)
def places(seed: int, n_clients: int) -> np.ndarray:
    """(n_clients,) place of each client in a random order of all; drawn once, not for every client."""
    return np.argsort(Rngs(seed)("heterofl levels").permutation(n_clients))
