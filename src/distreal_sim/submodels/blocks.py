"""A network as a row of blocks, in the order of execution."""

from __future__ import annotations

from torch import nn

from distreal_sim.thinning.structure import Structure

CONTAINERS = (nn.Sequential, nn.ModuleList)


def blocks_of(module: nn.Module, structure: Structure, prefix: str = "") -> list[tuple[str, ...]]:
    """The names of the trained parameters of each block; together all of them, each once.

    module: the network of the structure, or the part of it whose parameters' names begin with `prefix`.

    A block is what the network, its containers and theirs list, unless that is itself a container of
    several layers: a convolution, a convolution with its norm in one container, a residual block. What has
    parameters but no convolution or linear layer, as a norm that stands alone, joins the block before it.
    """
    first_run: dict[str, int] = {}
    for place, layer in enumerate(structure.layers):
        first_run.setdefault(layer.weight, place)
    trained = [f"{prefix}{name}" for name, value in module.named_parameters() if value.requires_grad]
    blocks: list[list[str]] = []
    waiting: list[str] = []
    for unit in _units(module, prefix, first_run):
        names = [name for name in trained if name == unit or name.startswith(f"{unit}.")]
        if any(name in first_run for name in names):
            blocks.append(waiting + names)
            waiting = []
        elif blocks:
            blocks[-1] += names
        else:
            waiting += names
    blocks.sort(key=lambda block: min(first_run[name] for name in block if name in first_run))
    known = {name for block in blocks for name in block}
    blocks[0] += [name for name in trained if name not in known]
    return [tuple(block) for block in blocks]


def _units(module: nn.Module, prefix: str, layers: dict[str, int]) -> list[str]:
    """Names of the parts that are not taken further apart, in the order in which they are listed."""
    found = []
    for key, child in module.named_children():
        name = f"{prefix}{key}"
        n_layers = sum(weight.startswith(f"{name}.") for weight in layers)
        found += (
            _units(child, f"{name}.", layers) if isinstance(child, CONTAINERS) and n_layers > 1 else [name]
        )
    return found
