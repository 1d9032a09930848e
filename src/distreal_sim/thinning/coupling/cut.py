"""Cuts a network's tensors to the channels that a mask keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.thinning.heads import follow_heads
from distreal_sim.thinning.recurrent import read_weights
from distreal_sim.thinning.structure import Structure, TensorLayout, kept_elements


def cut(
    module: nn.Module, structure: Structure, kept: Sequence[np.ndarray | None], counts: Sequence[int]
) -> None:
    """Cuts the parameters and buffers of `module`, in place, to the kept channels."""
    names = {id(t): name for name, t in [*module.named_parameters(), *module.named_buffers()]}
    smaller: dict[str, Tensor] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for key, tensor in list(tensors.items()):
                name = names.get(id(tensor))
                if tensor is None or name not in structure.tensors:
                    continue
                if name not in smaller:
                    value = tensor.detach()[torch_index(structure.tensors[name], kept)].clone()
                    trained = tensor.requires_grad
                    smaller[name] = nn.Parameter(value, trained) if tensors is part._parameters else value
                tensors[key] = smaller[name]  # type: ignore[assignment]
        if isinstance(part, nn.RNNBase):
            read_weights(part)
    follow_heads(module)
    for override in structure.overrides:
        setattr(module.get_submodule(override.module), override.attribute, override.value(counts))


def torch_index(layout: TensorLayout, kept: Sequence[np.ndarray | None]) -> tuple[Tensor, ...]:
    """The index of the kept elements of a tensor."""
    return tuple(torch.from_numpy(np.ascontiguousarray(i)) for i in kept_elements(layout, kept))
