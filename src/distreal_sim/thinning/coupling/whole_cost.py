"""What a whole network multiplies, by torch's flop counter, and whether the closed forms give the same."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.thinning.cost import forward_macs, training_macs
from distreal_sim.thinning.coupling.counting import flops_of, total_of
from distreal_sim.thinning.coupling.cut import cut
from distreal_sim.thinning.coupling.formulas import UnknownCostError
from distreal_sim.thinning.coupling.operations import outputs_in, seed_operation
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.thinning.structure import Counts, Structure, ThinningError

NOT_COUNTED = (
    "its backward pass multiplies more than the gradients of its operations (torch.utils.checkpoint runs "
    "some once more, or a hook has products), so that the cost at a smaller width is not known"
)
"""Why a network is left whole for which `is_counted` is false."""


def is_counted(module: nn.Module, structure: Structure, example: Tensor, smaller: tuple[Counts, ...]) -> bool:
    """Whether the closed forms give what the counter finds at full width, and at these smaller ones."""
    for counts in dict.fromkeys((structure.full_counts(), *smaller)):
        small = copy.deepcopy(module)
        cut(small, structure, sample_mask(structure, counts, np.random.default_rng(0)).kept, counts)
        forward = forward_macs(structure, counts)
        if network_macs(small, example) != (forward, training_macs(structure, counts) - forward):
            return False
    return True


def network_macs(module: nn.Module, example: Tensor) -> tuple[int, int]:
    """(forward, backward) MACs on one example; the module's gradients change.

    Raises ThinningError for a cost that is not known or no multiple of the number of examples, and for a
    backward pass that fails.
    """
    what, n = type(module).__name__, len(example)
    results: list[Tensor] = []
    try:
        with torch.random.fork_rng(devices=[]):
            seed_operation(0, 0)
            forward = flops_of(lambda: results.extend(outputs_in(module(example.clone()))))
            total = total_of(results)
            backward = 0 if total is None else flops_of(total.backward)
    except UnknownCostError as error:
        raise ThinningError(f"{what} cannot be simulated: {error}") from None
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        raise ThinningError(
            f"{what} cannot be trained: a step fails with {type(error).__name__}: {error}"
        ) from error
    if forward % (2 * n) or backward % (2 * n):
        raise ThinningError(
            f"{what} cannot be simulated: its cost is not that of an example times their number"
        )
    return forward // (2 * n), backward // (2 * n)
