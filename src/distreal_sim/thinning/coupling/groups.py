"""Finds the coupling groups of a network by tracing forward passes, and tests them at smaller widths."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from distreal_sim.thinning.coupling.copies import refuse_what_copies_lose
from distreal_sim.thinning.coupling.operations import place_of
from distreal_sim.thinning.coupling.passes import watch_passes
from distreal_sim.thinning.coupling.reading import read_structure
from distreal_sim.thinning.coupling.record import Pass, Visit
from distreal_sim.thinning.coupling.rules import apply_rule
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.coupling.tracer import Tracer
from distreal_sim.thinning.coupling.trial import Failure, try_thinned
from distreal_sim.thinning.coupling.whole_cost import NOT_COUNTED, is_counted, network_macs
from distreal_sim.thinning.masks import sample_mask
from distreal_sim.thinning.structure import (
    FIXED,
    Counts,
    Group,
    Product,
    Segment,
    Structure,
    TensorLayout,
    ThinningError,
    Whole,
)

__all__ = ["Group", "Structure", "ThinningError", "find_groups"]


def find_groups(module: nn.Module, example: Tensor) -> Structure:
    """The coupling groups of `module` for inputs like `example` (n, C, ...); `module` is not changed.

    The traced passes use their own parameter values, and inputs between 0 and 1 unless `example` holds
    integers. What no rule covers is left whole; a network of which no operation can be watched has no groups.
    Raises ThinningError, naming the module and the reason, for a network whose cost or result is not the same
    whenever it runs.
    """
    refuse_what_copies_lose(module)
    _refuse_sparse(module)
    try:
        copied = copy.deepcopy(module).cpu()
    except Exception as error:  # a module may hold anything
        raise ThinningError(f"{type(module).__name__} cannot be copied: {error}") from error
    if (
        len(example) < 2
    ):  # batch normalisation needs two values per channel, and an axis of length 1 is ambiguous
        example = torch.cat([example, example])
    for name, part in copied.named_modules():
        if isinstance(part, torch.jit.ScriptModule) and any(True for _ in part.parameters()):
            raise ThinningError(
                f"module '{name}' ({type(part).__name__}) cannot be trained: its parameters lie in compiled "
                "code (torch.jit.script); use the module that was compiled"
            )
    example = _with_values(copied, example.detach().cpu())
    fresh = copy.deepcopy(copied).train()  # a pass may leave objects in a network that cannot be copied
    tracer = Tracer(copied, apply_rule)
    first, tested = watch_passes(tracer, example)
    seen = tracer.trace
    if seen.unwatched is not None:
        return _entire(fresh, example, *seen.unwatched)
    while True:
        structure = read_structure(seen, first)
        failures = _failures(fresh, structure, seen, first, tested, example)
        if not failures and is_counted(fresh, structure, example, _smaller(structure)):
            return structure
        if not failures:
            return _entire(fresh, example, place_of("", fresh), NOT_COUNTED)
        visits = [*first.visits, *tested.visits]
        if not sum(_leave_whole(seen, visits, failure) for failure in failures):
            where = place_of("", seen.module)
            raise ThinningError(f"{where} cannot be trained: {failures[0].reason}")


def _refuse_sparse(module: nn.Module) -> None:
    for name, part in module.named_modules():
        own = [*part._parameters.items(), *part._buffers.items(), *vars(part).items()]
        for key, tensor in own:
            if isinstance(tensor, Tensor) and tensor.layout != torch.strided:
                raise ThinningError(
                    f"{place_of(name, part)} cannot be simulated: its '{key}' is no dense tensor "
                    f"({tensor.layout}), and what a sparse product costs depends on values; keep it dense "
                    "(.to_dense())"
                )


def _failures(
    fresh: nn.Module, structure: Structure, seen: Trace, first: Pass, tested: Pass, example: Tensor
) -> list[Failure]:
    """Operations that at a smaller width do not give what the full network gives."""
    rng = np.random.default_rng(0)
    found: list[Failure] = []
    for counts in _smaller(structure):
        mask = sample_mask(structure, counts, rng)
        found += try_thinned(fresh, structure, seen, first.visits, example, mask)
        if first.path != tested.path:
            found += try_thinned(fresh.eval(), structure, seen, tested.visits, example, mask)
            fresh.train()
        if found:
            break
    return found


def _leave_whole(seen: Trace, visits: list[Visit], failure: Failure) -> bool:
    """Keeps all channels whole that the module reads or gives, or the smallest one around it that has any.

    Returns whether there were any.
    """
    module = failure.module
    while True:
        inside = [v for v in visits if not module or v.module == module or v.module.startswith(f"{module}.")]
        axes = [a for v in inside for a in v.reads] + [
            a for v in inside for of in v.axes for a in of.values()
        ]
        where = place_of(module, seen.module.get_submodule(module))
        if seen.note(module, where, failure.reason, axes):
            return True
        if not module:
            return False
        module = module.rpartition(".")[0]


def _entire(module: nn.Module, example: Tensor, where: str, reason: str) -> Structure:
    """The structure of a network that cannot be followed: no groups, and its cost as a whole."""
    macs = network_macs(copy.deepcopy(module), example)
    tensors = {
        name: TensorLayout(tuple(t.shape), tuple((Segment(FIXED, n),) for n in t.shape))
        for name, t in [*module.named_parameters(), *module.named_buffers()]
    }
    names = tuple(name for name, _ in module.named_parameters())
    everything = frozenset(names)
    product = Product("", "forward", macs[0], macs[1], 0, macs[1], (), everything, frozenset(), everything)
    whole = Whole(where, reason, sum(macs))
    return Structure((), tensors, names, (), (), {}, products=(product,), whole=(whole,))


def _with_values(module: nn.Module, example: Tensor) -> Tensor:
    """Gives every parameter values by which channels can be told apart; returns such an example."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                values = torch.rand(parameter.shape, generator=rng) + 0.5
                if parameter.dim() > 1:
                    values = (values - 1) * (12 / max(1, parameter[0].numel())) ** 0.5
                parameter.copy_(values)
    if example.is_floating_point():
        return torch.rand(example.shape, generator=rng, dtype=example.dtype)
    return example


def _smaller(structure: Structure) -> tuple[Counts, Counts]:
    """Counts at which a network is tried: uneven ones, and one channel a block."""
    return _uneven(structure), tuple(group.blocks for group in structure.groups)


def _uneven(structure: Structure) -> tuple[int, ...]:
    """Counts between one and all but one of each block's channels, different for groups of equal size."""
    counts = []
    for number, group in enumerate(structure.groups):
        size = group.channels // group.blocks
        counts.append(group.blocks * (1 + (size // 2 + number) % max(1, size - 1)))
    return tuple(counts)
