"""Products in the backward passes of autograd functions, which their forward passes do not show.

Each is measured by a backward pass of the traced network. Its cost is taken for constant, and so the channels
that the function reads and gives are kept whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.utils.flop_counter import FlopCounterMode

from distreal_sim.thinning.coupling.counting import counter_of_flops, total_of
from distreal_sim.thinning.coupling.formulas import UnknownCostError
from distreal_sim.thinning.coupling.operations import graph_of, place_of
from distreal_sim.thinning.coupling.running import parameters_around
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import Product, ThinningError


def count_hidden_gradients(trace: Trace, outputs: list[Tensor]) -> None:
    """Records what the backward passes of the autograd functions in a traced pass multiply.

    Raises ThinningError for a backward pass that fails, or whose cost is not known.
    """
    reached = {node for node in graph_of(outputs) if isinstance(node, BackwardCFunction)}
    if not reached or (total := total_of(outputs)) is None:
        return
    made: defaultdict[Any, list[Tensor]] = defaultdict(list)
    for tensor in trace.alive():
        made[tensor.grad_fn].append(tensor)
    functions = [node for node in made if node in reached]  # in the order of the forward pass
    functions += reached.difference(functions)
    leaves = [p for p in trace.module.parameters() if p.requires_grad]
    try:
        with counter_of_flops() as counter, _flops_of_each(functions, counter) as flops:
            torch.autograd.grad(total, leaves, allow_unused=True)
    except UnknownCostError as error:
        raise ThinningError(f"{trace.where} cannot be simulated: in its backward pass {error}") from None
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        raise ThinningError(
            f"{trace.where} cannot be trained: its backward pass fails with {type(error).__name__}: {error}"
        ) from error
    for node in functions:
        if flops[node]:
            read = [t for before, _ in node.next_functions for t in made.get(before, ())]
            _record(trace, node, flops[node] // 2, read, made.get(node, []))


def _record(trace: Trace, node: Any, macs: int, read: list[Tensor], given: list[Tensor]) -> None:
    n = trace.now.n_examples
    module = trace.module_of(given[0]) if given else ""
    where = place_of(module, trace.module.get_submodule(module))
    name = node.name().removesuffix("Backward")
    if macs % n:
        raise ThinningError(
            f"{where} cannot be simulated: the backward pass of its autograd function '{name}' has {macs} "
            f"multiply-adds for {n} examples, so that their cost is not that of an example times their number"
        )
    reason = f"the backward pass of its autograd function '{name}' has products, whose channels stay whole"
    trace.note(module, where, reason, [a for t in (*read, *given) for a in trace.axes_of(t).values()])
    trace.notes[where, reason].operations.add(node.name())
    product = Product(
        module,
        node.name(),
        0,
        input_macs=macs // n,
        both_macs=macs // n,
        upstream=trace.upstream_of(node),
        beside=parameters_around(trace.module, module),
    )
    trace.now.add(product, None, given)


@contextmanager
def _flops_of_each(functions: list[Any], counter: FlopCounterMode) -> Iterator[dict[Any, int]]:
    """What each of these nodes of a graph multiplies in a backward pass inside of the block."""
    found = dict.fromkeys(functions, 0)

    def begin(node: Any) -> Any:
        def before(*gradients: Any) -> None:
            found[node] -= counter.get_total_flops()

        return before

    def end(node: Any) -> Any:
        def after(*gradients: Any) -> None:
            found[node] += counter.get_total_flops()

        return after

    handles = [h for n in functions for h in (n.register_prehook(begin(n)), n.register_hook(end(n)))]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
