"""Runs forward passes and records every operation in a trace.

These are real forward passes under a `TorchFunctionMode`, so any Python control flow in the model is fine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.coupling.guards import Guards, refuse_reentrant
from distreal_sim.thinning.coupling.hidden import count_hidden_gradients
from distreal_sim.thinning.coupling.notes import NoRuleError
from distreal_sim.thinning.coupling.operations import (
    ASKS,
    UNIFORM,
    Fill,
    Force,
    fill_draw,
    forced_value,
    operation_name,
    outputs_in,
    results_of,
    seed_operation,
    tensors_in,
)
from distreal_sim.thinning.coupling.products import count
from distreal_sim.thinning.coupling.record import Pass
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import ThinningError

_NO_GRADIENTS = "it runs within an autograd function, so that what its gradients cost is not known by layer"

Rule = Callable[[Trace, Any, str, tuple[Any, ...], dict[str, Any], Any, dict[int, tuple[int, ...]]], None]
"""rule(trace, func, name, args, kwargs, out, before): records the channels of an operation's results."""


class Tracer(TorchFunctionMode):
    """Makes forward passes of `module`, whose operations `rule` records in `trace`."""

    def __init__(self, module: nn.Module, rule: Rule) -> None:
        super().__init__()
        self.trace, self._rule, self._guards = Trace(module), rule, Guards(module)

    def run(
        self, example: Tensor, seed: int = 0, fill: Fill | None = None, force: Force | None = None
    ) -> Pass:
        """One forward pass; outputs are fixed. Torch's generator is left as it was.

        seed: each operation draws from a generator seeded with `seed` and its number, so that its draws do
        not depend on those of other operations. fill: every uniform draw gets the lowest, or the highest,
        value. force: the first value of a computed tensor that the Python code asks for is the opposite truth
        value, or this number.
        Raises ThinningError where an operation cannot be traced, or the module itself fails.
        """
        trace, module = self.trace, self.trace.module
        self._seed, self._fill, self._force = seed, fill, force
        trace.begin(example)
        self._guards.begin(example)
        try:
            first = not seed  # one pass is enough to find draws of other libraries
            with torch.random.fork_rng(devices=[]), trace.running.follow(watch_generators=first), self:
                output = module(example)
        except ThinningError:
            raise
        except Exception as error:  # whatever a user's code raises is a mistake in the input
            mode = "" if module.training else " in evaluation mode"
            raise ThinningError(
                f"{trace.where} fails{mode} when the network gets inputs of shape {tuple(example.shape)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        outputs = outputs_in(output)
        refuse_reentrant(outputs)
        if (hidden := trace.now.leave_out_gradients(outputs)) is not None:
            trace.unwatched = f"module '{hidden}'", _NO_GRADIENTS
        count_hidden_gradients(trace, outputs)
        for tensor in outputs:
            trace.note_unwatched([tensor])
            for atoms in trace.axes_of(tensor).values():
                trace.couplings.fix(atoms)
        trace.forget()
        self._guards.forget()
        trace.now.nodes.clear()
        trace.now.product_nodes.clear()
        return trace.now

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        trace, kwargs = self.trace, kwargs or {}
        name = operation_name(func)
        operands = tensors_in((args, kwargs))
        before = {id(a): tuple(a.shape) for a in operands}
        upstream = frozenset().union(*map(trace.upstream, operands))
        self._guards.refuse(trace.where, func, name, args, kwargs)
        seed_operation(self._seed, len(trace.now.visits))
        out = func(*args, **kwargs)
        if any(map(is_batchedtensor, operands)):
            trace.unwatched = trace.where, "it runs under torch.vmap, which hides the examples"
            return out
        if name in ASKS:
            trace.now.asked = True
            if self._force is not None and operands and trace.is_derived(operands[0]):
                forced, self._force = forced_value(out, self._force), None
                return forced
        results = results_of(name, args, out)
        if not results:
            return out
        if self._fill is not None and name in UNIFORM:
            fill_draw(name, args, results[0], self._fill)
        reads = trace.read(operands)
        trace.make(results, operands, upstream)
        n_costs = trace.now.n_costs
        try:
            self._rule(trace, func, name, args, kwargs, out, before)
        except NoRuleError as found:
            trace.leave_whole(name, operands, results, found.reason)
            count(trace, func, name, args, kwargs, out)
        costs = trace.now.n_costs > n_costs
        self._guards.follow(trace.where, name, args, kwargs, operands, results, costs)
        trace.visit(name, results, reads)
        return out
