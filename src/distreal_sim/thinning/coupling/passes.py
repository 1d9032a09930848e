"""Passes of a network in training and evaluation, which must run the same layers and change nothing."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from distreal_sim.thinning.coupling.operations import OF_A_BATCH, place_of
from distreal_sim.thinning.coupling.record import Pass
from distreal_sim.thinning.coupling.tracer import Tracer
from distreal_sim.thinning.structure import ThinningError

_N_MORE = 6
"""Number of further passes if values of tensors reach the Python code."""


def watch_passes(tracer: Tracer, example: Tensor) -> tuple[Pass, Pass]:
    """Traces passes with various draws and inputs; returns the first one, and one in evaluation mode.

    Raises ThinningError if their layers or costs differ, because the cost of a step must be known before it
    runs, and if a pass changes the network.
    """
    module = tracer.trace.module.train()
    before = _state(module)
    first = tracer.run(example)
    _refuse_changes(module, before)
    before = _state(module)  # includes additions by the first pass
    more = torch.cat([example, example[:1]])
    others = [
        tracer.run(torch.zeros_like(example), 1, "low"),
        tracer.run(_other(more, 2), 2, "high"),
    ]
    if first.asked or any(other.asked for other in others):
        others += [tracer.run(_other(example, 3 + i), 3 + i) for i in range(_N_MORE)]
        others += _forced(tracer, example)
    _refuse_changes(module, before)
    for other in others:
        _refuse_costs_of_a_batch(module, first, other)
        _refuse_other_path(module, first, other)
    module.eval()
    tested = tracer.run(example)
    module.train()
    trained = {weight for weight, _ in _weights(first)}
    for weight, where in _weights(tested):
        if weight not in trained:
            raise ThinningError(
                f"{place_of(where, module.get_submodule(where))} cannot be trained: evaluation runs it and "
                "training does not"
            )
    return first, tested


def _forced(tracer: Tracer, example: Tensor) -> list[Pass]:
    """Passes in which a value that the code asks for is another one; those that then fail are left out."""
    found = []
    for force in ("other", -1e6, 1e6):
        with contextlib.suppress(ThinningError):
            found.append(tracer.run(example, 1, force=force))
    return found


def _weights(of: Pass) -> list[tuple[str, str]]:
    """(weight, module) of everything with a cost."""
    products = [(weight, product.module) for product in of.products for weight in product.weights]
    return [(layer.weight, layer.module) for layer in of.layers] + products


def _other(example: Tensor, seed: int) -> Tensor:
    """Other inputs of the same kind: small and large numbers; whole numbers in another order."""
    rng = torch.Generator().manual_seed(seed)
    if not example.is_floating_point():
        return example.flatten()[torch.randperm(example.numel(), generator=rng)].view(example.shape)
    scale = (0.1, 1.0)[seed % 2]
    return torch.rand(example.shape, generator=rng, dtype=example.dtype) * scale


def _refuse_other_path(module: nn.Module, first: Pass, other: Pass) -> None:
    costs = [_costs(p) for p in (first, other)]
    for _, where, *_ in (costs[0] - costs[1]) + (costs[1] - costs[0]):
        raise ThinningError(
            f"{place_of(where, module.get_submodule(where))} cannot be simulated: not every training pass "
            "runs it alike (blocks skipped at random, or a path that depends on values), so that the cost of "
            "a step is not known before it; run it always, and mask what it gives for each example (as "
            "DropPath does)"
        )


def _costs(of: Pass) -> Counter[tuple[str, str, int, int]]:
    """What costs something, by name and module, and how much."""
    layers = [(layer.weight, layer.module, layer.positions, layer.n_gradients) for layer in of.layers]
    return Counter([*layers, *((p.operation, p.module, p.forward_macs, p.both_macs) for p in of.products)])


def _refuse_costs_of_a_batch(module: nn.Module, first: Pass, more: Pass) -> None:
    n, m = first.n_examples, more.n_examples
    layers, products = "positions", "multiply-adds"
    costs = [
        [(layers, la.module, la.weight, la.positions) for la in of.layers]
        + [(products, p.module, p.operation, p.forward_macs) for p in of.products]
        for of in (first, more)
    ]
    for (unit, where, what, cost), (_, _, same, its) in zip(*costs, strict=False):
        if what == same and cost != its:
            raise ThinningError(
                f"{place_of(where, module.get_submodule(where))} cannot be simulated: its '{what}' has "
                f"{n * cost} {unit} for {n} examples and {m * its} for {m}, so that {OF_A_BATCH}"
            )


State = dict[tuple[str, str], tuple[nn.Module, object]]


def _state(module: nn.Module) -> State:
    """Values that a pass could change: parameters, buffers except norm statistics, numbers in attributes."""
    found: State = {}
    for where, part in module.named_modules():
        statistics = part._buffers.keys() if isinstance(part, _NormBase) else ()
        for key, tensor in [*part._parameters.items(), *part._buffers.items()]:
            if tensor is not None and key not in statistics:
                found[where, key] = part, tensor.detach().clone()
        for key, value in vars(part).items():
            if key != "training" and not key.startswith("_") and (plain := _plain(value)) is not None:
                found[where, key] = part, plain
    return found


def _plain(value: object) -> object:
    """The comparable part of an attribute: a number, numbers in a container, the state of a generator."""
    if isinstance(value, np.random.Generator):
        return copy.deepcopy(value.bit_generator.state)
    items = list(value.values()) if isinstance(value, dict) else value
    if isinstance(items, list | tuple):
        return copy.copy(value) if all(isinstance(i, int | float) for i in items) else None
    return value if isinstance(value, int | float) else None


def _refuse_changes(module: nn.Module, before: State) -> None:
    after = _state(module)
    for (where, key), (part, old) in before.items():
        _, new = after.get((where, key), (part, None))
        if isinstance(old, Tensor):
            if isinstance(new, Tensor) and old.shape == new.shape and _same(old, new):
                continue
            what = f"buffer '{key}'" if key in part._buffers else f"parameter '{key}'"
        elif old == new or old != old:
            continue
        else:
            what = f"attribute '{key}'"
        raise ThinningError(
            f"{place_of(where, part)} cannot be simulated: its forward pass changes its {what}, so "
            f"that a client's "
            "result would depend on what ran before it"
        )


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | ((a != a) & (b != b))).all())
