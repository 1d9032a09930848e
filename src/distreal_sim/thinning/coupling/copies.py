"""What a copy of a network, or training it on tensors of one's own, would leave behind without a word.

Every client trains a private copy of the network, whose parameters are views of memory that the engine owns.
So a gradient hook on a parameter would never run, and a function that refers to the original network would
read the original's tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from torch import nn

from distreal_sim.thinning.coupling.operations import place_of
from distreal_sim.thinning.structure import ThinningError

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def refuse_what_copies_lose(module: nn.Module) -> None:
    """Raises ThinningError, naming the module, for a network whose copies would not train like itself."""
    own = {id(part) for part in module.modules()} | {
        id(tensor) for tensor in [*module.parameters(), *module.buffers()]
    }
    for where, part in module.named_modules():
        for key, parameter in part._parameters.items():
            if parameter is None:
                continue
            if parameter.is_complex():
                raise ThinningError(
                    f"{place_of(where, part)} cannot be trained: its parameter '{key}' is complex; keep real "
                    "and imaginary parts on an axis of length 2 and use torch.view_as_complex"
                )
            if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
                raise ThinningError(
                    f"{place_of(where, part)} cannot be trained: a hook on its parameter '{key}' changes the "
                    "gradient, but clients train copies of the parameter, which have no hooks; compute "
                    "what the layer uses in the forward pass instead (for example weight * mask)"
                )
        for what, function in _functions(part):
            if any(id(value) in own for value in _enclosed(function)):
                raise ThinningError(
                    f"{place_of(where, part)} cannot be copied for each client: its {what} is a function "
                    "that refers to the network itself, and in a copy still would to the original; make it "
                    "a method of the module, or use what it is called with"
                )


def _functions(part: nn.Module) -> Iterator[tuple[str, FunctionType]]:
    """(what it is, function) of the hooks and of the functions among a module's attributes."""
    for hooks in _HOOKS:
        for function in getattr(part, hooks).values():
            if isinstance(function, FunctionType):
                yield "hook", function
    for key, value in vars(part).items():
        if isinstance(value, FunctionType):
            yield f"attribute '{key}'", value


def _enclosed(function: FunctionType) -> Iterator[Any]:
    """The objects that a function takes from the code around it, also those in lists and in its defaults."""
    values = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # empty as yet
            values.append(cell.cell_contents)
    for value in values:
        yield value
        if isinstance(value, list | tuple):
            yield from value
