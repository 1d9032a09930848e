"""Costs of operations that are no layers, in the record of a pass."""

from __future__ import annotations

from typing import Any

from distreal_sim.thinning.coupling.channels import Atoms
from distreal_sim.thinning.coupling.counting import macs_of, shapes_key
from distreal_sim.thinning.coupling.formulas import UnknownCostError
from distreal_sim.thinning.coupling.operations import OF_A_BATCH, tensors_in
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import Product, ThinningError


def count(
    trace: Trace, func: Any, name: str, args: Any, kwargs: Any, out: Any, axis: Atoms | None = None
) -> None:
    """Records the products of an operation that is no layer, if it has any.

    axis: its cost is proportional to the number of these channels. Raises ThinningError for a cost that does
    not grow with the number of examples.
    """
    operands = tensors_in((args, kwargs))
    results = tensors_in(out)
    if not operands:
        return
    grad = any(r.requires_grad for r in results)
    key = shapes_key(func, args, kwargs, grad)
    if key not in trace.macs:
        parameters = {id(t) for t in operands if id(t) in trace.names}
        try:
            trace.macs[key] = macs_of(func, args, kwargs, parameters, grad)
        except UnknownCostError as error:
            raise ThinningError(f"{trace.where} cannot be simulated: {error}") from None
    macs = trace.macs[key]
    if not any(macs):
        return
    n = trace.now.n_examples
    if any(m % n for m in macs):
        raise ThinningError(
            f"{trace.where} cannot be simulated: its '{name}' has {macs.forward} multiply-adds for {n} "
            f"examples, so that {OF_A_BATCH}"
        )
    weights = frozenset(trace.names[id(t)] for t in operands if id(t) in trace.names and t.requires_grad)
    others = [t for t in operands if id(t) not in trace.names]
    upstream = frozenset().union(*map(trace.upstream, others)) if macs.inputs else frozenset()
    product = Product(
        trace.current[0],
        name,
        forward_macs=macs.forward // n,
        weight_macs=macs.weights // n,
        input_macs=macs.inputs // n,
        both_macs=macs.both // n,
        weights=weights,
        upstream=upstream,
        beside=trace.running.parameters(),
    )
    trace.now.add(product, axis, results)
