"""FedAvg on one small network that even the weakest client can train.

The baseline that every sub-model method has to beat (it is trained end to end, and often wins). Our
formulation: a network of uniform width. `width: auto` is the widest whose planned local work every client
finishes before the deadline at the profile's declared lower bound, including its transfers, and whose steps
fit into every client's memory; a comparison tunes the width like a learning rate, since one that the weakest
clients cannot finish may be better. It starts from the first filters of the configured network's
initialisation, scaled to their smaller number of inputs.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import nn

from distreal_sim.base.errors import InputError
from distreal_sim.client.task import Task
from distreal_sim.methods import Fits, Method
from distreal_sim.submodels.levels import Always, whole_network
from distreal_sim.submodels.widths import Share
from distreal_sim.thinning.masks import keep_counts
from distreal_sim.thinning.shrink import shrink
from distreal_sim.thinning.structure import Counts, Structure


class Small(Method):
    """One narrow network for all clients."""

    thins: ClassVar[bool] = True

    width: Share | Literal["auto"] = Field(
        "auto",
        description="share of filters kept in every layer; auto: the most that the weakest client can train; "
        "several, to tune it, are an axis of a sweep's grid",
        examples=[0.25],
    )

    def network(self, module: nn.Module, structure: Structure, fits: Fits) -> nn.Module:
        if self.width != "auto":
            return shrink(module, structure, _uniform(structure, self.width))
        widths = sorted(
            {k / group.channels for group in structure.groups for k in range(1, group.channels + 1)}
        )

        def too_wide(width: float) -> bool:
            return not fits(_uniform(structure, width))

        n_fitting = bisect_right(widths, False, key=too_wide)
        if n_fitting == 0:
            raise InputError(
                "method.name small: the weakest client cannot train even the narrowest network before the "
                "deadline and in its memory; set method.width, or raise the profile's smallest level, "
                "deadline_s or memory"
            )
        return shrink(module, structure, _uniform(structure, widths[n_fitting - 1]))

    def levels(self, task: Task) -> Always:
        return whole_network(task)


def _uniform(structure: Structure, width: float) -> Counts:
    every = range(len(structure.groups))
    return keep_counts(structure, np.full(len(structure.groups), 1 - width), tuple(every))
