"""Torch operations in a traced forward pass: names, results, random draws."""

from __future__ import annotations

import random
import re
from dataclasses import fields, is_dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

Fill = Literal["low", "high"]
Force = Literal["other"] | float

ASKS = frozenset({"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__"})
"""Operations by which a tensor's values reach the Python code."""

UNIFORM = frozenset({"rand", "rand_like", "uniform_", "bernoulli", "bernoulli_"})
"""Draws that a pass can replace by the lowest or highest value."""


IN_PLACE = re.compile(r"(?!__).*_|__(i[a-z]+|setitem)__")
"""Operations that change their first operand."""

_SIZED = frozenset({"nonzero", "argwhere", "masked_select", "unique", "unique_consecutive"})
"""Operations whose results are as long as values of their operands say."""

FILLS = re.compile(r"__setitem__|index_(add|put|copy|fill|reduce)_?|(masked_)?scatter(_add|_reduce)?_?")
"""Operations that write rows, however many, into a tensor of a given size."""


OF_A_BATCH = (
    "its cost is not that of an example times their number, as that of a step must be: do not loop over the "
    "examples of a mini-batch, and do not multiply what mixes them"
)
"""What is wrong with a layer or a product that a mini-batch runs once, however many examples it holds."""


def place_of(name: str, module: nn.Module) -> str:
    """The name of a module in messages."""
    return f"module '{name}' ({type(module).__name__})" if name else f"the model ({type(module).__name__})"


def operation_name(func: Any) -> str:
    """Name of a torch operation; for a property, such as `.T`, the name of the property."""
    name: str = getattr(func, "__name__", str(func))
    if name == "__get__":
        return f".{getattr(getattr(func, '__self__', None), '__name__', '')}"
    return name


def generators() -> tuple[Any, Any]:
    """States of the global generators of Python and of numpy."""
    state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), (state["pos"], state["key"].tobytes())


def forced_value(value: Any, force: Force) -> Any:
    """What Python code gets in place of a tensor's truth value or number."""
    if isinstance(value, bool):
        return not value if force == "other" else value
    return float(force) if isinstance(value, float) and force != "other" else value


def seed_operation(seed: int, number: int) -> None:
    """Seeds torch's generator for one operation of a pass."""
    torch.default_generator.manual_seed(1_000_003 * seed + number)


def results_of(name: str, args: tuple[Any, ...], out: Any) -> list[Tensor]:
    """The tensors that an operation returns or, if it returns none, changes."""
    if name == "__setitem__":
        return [args[0]]
    return [] if name == "__set__" else tensors_in(out)


def written_by(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The tensor that an operation writes into, if any; also where it would write what is there already."""
    found: Any = None
    if name == "__set__":
        found = args[0] if getattr(func.__self__, "__name__", "") == "data" else None
    elif name in ("embedding", "embedding_bag") and kwargs.get("max_norm") is not None:
        found = args[1] if len(args) > 1 else kwargs.get("weight")
    elif kwargs.get("out") is not None:
        found = kwargs["out"]
    elif IN_PLACE.fullmatch(name) and name != "requires_grad_" and args:
        found = args[0]
    return found if isinstance(found, Tensor) else None


def sizing(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The operands whose values say how long an operation's results are; mostly none."""
    if name in _SIZED or (name == "where" and len(args) + len(kwargs) == 1):
        return tensors_in((args, kwargs))
    if name in ("repeat_interleave", "_pack_padded_sequence"):
        return tensors_in((args[1:], kwargs))
    if name == "__getitem__":
        return [t for t in tensors_in(args[1:]) if t.dtype in (torch.bool, torch.uint8)]
    return []


def fill_draw(name: str, args: tuple[Any, ...], drawn: Tensor, fill: Fill) -> None:
    low, high = 0.0, 1.0 if name.startswith("bernoulli") else 1 - 2**-8
    if name == "uniform_":
        low, high = (args[1] if len(args) > 1 else 0.0), (args[2] if len(args) > 2 else high)
    with torch.no_grad():
        drawn.fill_(low if fill == "low" else high)


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def graph_of(outputs: list[Tensor]) -> set[Any]:
    """The nodes of the autograd graph that a backward pass from the outputs walks through."""
    return graph_from([t.grad_fn for t in outputs if t.grad_fn is not None])


def graph_from(nodes: list[Any]) -> set[Any]:
    """The nodes of the autograd graph that a backward pass from these nodes walks through, and these."""
    todo = list(nodes)
    reached: set[Any] = set()
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo += [n for n, _ in node.next_functions if n is not None]
    return reached


def outputs_in(value: Any) -> list[Tensor]:
    """All tensors in a network's return value: those of tensors_in, and those in fields of dataclasses."""
    if is_dataclass(value) and not isinstance(value, (type, dict)):
        value = [getattr(value, f.name, None) for f in fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in outputs_in(item)]
    return tensors_in(value)
