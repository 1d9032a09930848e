"""Steps that train some of the parameters, and what these weigh."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import Tensor

from distreal_sim.client.train import TakeStep
from distreal_sim.submodels.levels import BYTES_PER_PARAMETER
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Structure


def parameter_bytes(structure: Structure, names: Collection[str]) -> int:
    """Bytes of these parameters at full width."""
    return BYTES_PER_PARAMETER * sum(math.prod(structure.tensors[name].shape) for name in names)


def partial_steps(names: Collection[str]) -> TakeStep:
    """Steps on the cross-entropy that change only these parameters."""
    trained = frozenset(names)

    def take(engine: Engine, x: Tensor, y: Tensor, mask: Mask | None, lr: float) -> float:
        return engine.step(x, y, mask, lr, trained=trained)

    return take
