"""A physically smaller network of the same kind."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.coupling.cut import cut
from distreal_sim.thinning.masks import first_mask
from distreal_sim.thinning.structure import Structure


def shrink(module: nn.Module, structure: Structure, counts: Sequence[int]) -> nn.Module:
    """A copy of `module` with the first `counts` (G,) channels of its coupling groups, initialised like it.

    Parameters keep the values of the first channels, and weights are multiplied by sqrt(full / kept inputs),
    so that at any width activations start with the variance that the initialisation is designed for. At full
    counts the copy equals the original. Raises InputError for counts that the network cannot have.
    """
    for group, n in zip(structure.groups, counts, strict=True):
        if not 0 < n <= group.channels or n % group.blocks:
            raise InputError(
                f"'{group.name}' cannot have {n} channels; allowed are 1 to {group.channels}"
                + (f" in multiples of {group.blocks}" if group.blocks > 1 else "")
            )
    smaller = copy.deepcopy(module)
    cut(smaller, structure, first_mask(structure, counts).kept, counts)
    full = dict(module.named_parameters())
    with torch.no_grad():
        for name, parameter in smaller.named_parameters():
            if parameter.dim() > 1:
                outputs = 1 if name in structure.transposed else 0
                inputs = [p.numel() / p.shape[outputs] for p in (full[name], parameter)]
                parameter.mul_(math.sqrt(inputs[0] / inputs[1]))
    for part in smaller.modules():
        _set_widths(part)
    return smaller


def _set_widths(part: nn.Module) -> None:
    """Sets the attributes that hold a width to the widths of the parameters."""
    if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        part.out_channels, part.in_channels = part.weight.shape[0], part.weight.shape[1] * part.groups
    elif isinstance(part, nn.modules.conv._ConvTransposeNd):
        part.in_channels, part.out_channels = part.weight.shape[0], part.weight.shape[1] * part.groups
    elif isinstance(part, nn.Linear):
        part.out_features, part.in_features = part.weight.shape
    elif isinstance(part, _NormBase):
        known = part.weight if part.affine else part.running_mean
        if known is not None:
            part.num_features = len(known)
    elif isinstance(part, nn.GroupNorm) and part.affine:
        part.num_channels = len(part.weight)
