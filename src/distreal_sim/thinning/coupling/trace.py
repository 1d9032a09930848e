"""Watches one forward pass and notes which channel of which tensor is which.

Every channel that a convolution or linear layer produces gets an *atom*, a number; atom 0 stands for
everything that must stay (input channels, outputs). A tensor's channel axis is an array of atoms, and an
operation that adds or multiplies two of them makes their atoms one (union-find). It is a real forward pass
under a `TorchFunctionMode`, so any Python control flow in the model is fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.structure import Layer, ThinningError

Kind = Literal["conv", "linear"]


class Channels(NamedTuple):
    """The channel axis of an activation: which dimension it is and its atoms (length of that dimension)."""

    dim: int
    atoms: np.ndarray


class Producer(NamedTuple):
    """Atoms start .. start + n - 1 come from a `kind` layer; kind None: from a parameter used by itself."""

    module: str
    kind: Kind | None
    start: int
    n: int


@dataclass(frozen=True)
class WidthAttribute:
    """A module attribute that holds the length of an axis (see structure.Override)."""

    module: str
    attribute: str
    atoms: np.ndarray
    full: tuple[int, ...] | int
    index: int | None


@dataclass(frozen=True)
class Visit:
    """One traced operation: in which module, its name, and the channel axis of what it returned."""

    module: str
    operation: str
    channels: Channels | None


class Trace(TorchFunctionMode):
    """Atoms of everything seen in a forward pass of `module`; enter it, call the module, leave it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.n_examples = 1
        self.parent = [0]
        self.producers: list[Producer] = []
        self.layers: list[Layer] = []
        self.blocked: list[tuple[str, np.ndarray, int]] = []
        self.attributes: dict[tuple[str, str], WidthAttribute] = {}
        self.scaled: dict[str, np.ndarray] = {}
        self.weight_blocks: dict[str, int] = {}
        self.visits: list[Visit] = []
        self.uses: Counter[str] = Counter()
        self.names: dict[int, str] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self.names[id(tensor)] = name
        self.axes: dict[str, dict[int, np.ndarray]] = {name: {} for name in self.names.values()}
        self._channels: dict[int, Channels] = {}
        self._behind: dict[int, frozenset[str]] = {}
        self._alive: list[Tensor] = []  # an id is only unique while its tensor lives
        self._stack: list[tuple[str, nn.Module]] = [("", module)]

    # -- the forward pass

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Traces what is called inside, and keeps track of the module it is called in."""
        hooks = []
        for name, part in self.module.named_modules():
            enter = self._enter(name)
            hooks.append(part.register_forward_pre_hook(enter))
            hooks.append(part.register_forward_hook(self._leave, always_call=False))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(part: nn.Module, args: Any) -> None:
            self._stack.append((name, part))

        return enter

    def _leave(self, part: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from distreal_sim.thinning.coupling.rules import apply_rule

        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        operands = tensors_in((args, kwargs))
        before = {id(a): tuple(a.shape) for a in operands}
        out = func(*args, **kwargs)
        results = tensors_in(out)
        if name == "__set__" or not results:
            return out
        self.uses.update(self.names[id(a)] for a in operands if id(a) in self.names)
        sources = frozenset().union(*map(self.behind, operands))
        for result in results:
            self._alive.append(result)
            self._behind[id(result)] = sources if result.requires_grad else frozenset()
        apply_rule(self, func, name, args, kwargs, out, before)
        for result in results:
            self.visits.append(Visit(self.where, name, self.channels(result)))
        return out

    # -- where we are

    @property
    def current(self) -> tuple[str, nn.Module]:
        """Qualified name and module whose forward is running."""
        return self._stack[-1]

    @property
    def where(self) -> str:
        """The same, for messages."""
        name, module = self.current
        return (
            f"module '{name}' ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
        )

    def refuse(self, reason: str) -> ThinningError:
        """The error for something in the current module that cannot be thinned."""
        return ThinningError(f"{self.where} cannot be thinned: {reason}")

    # -- channels of activations, axes of parameters

    def channels(self, tensor: Any) -> Channels | None:
        """Channel axis of an activation; None if it has none that is known."""
        return self._channels.get(id(tensor))

    def set_channels(self, tensor: Tensor, dim: int, atoms: np.ndarray) -> None:
        """Notes the channel axis of an activation."""
        assert tensor.shape[dim] == len(atoms)
        self._alive.append(tensor)
        self._channels[id(tensor)] = Channels(dim, atoms)

    def behind(self, tensor: Tensor) -> frozenset[str]:
        """The parameters that a gradient in the tensor goes back to."""
        name = self.names.get(id(tensor))
        if name is not None:
            return frozenset({name}) if tensor.requires_grad else frozenset()
        return self._behind.get(id(tensor), frozenset())

    def name_of(self, tensor: Any) -> str | None:
        """Qualified name of a parameter or buffer; None for other tensors."""
        return self.names.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def bind(self, name: str, dim: int, atoms: np.ndarray) -> None:
        """Axis `dim` of the named parameter or buffer holds these channels."""
        known = self.axes[name].setdefault(dim, atoms)
        if len(known) != len(atoms):
            raise self.refuse(f"'{name}' is used with {len(known)} and with {len(atoms)} channels")
        self.unite(known, atoms)

    def produced(self, name: str, n: int, kind: Kind | None) -> np.ndarray:
        """Atoms of axis 0 of the named weight: new ones, or the same again if the weight is shared."""
        if 0 not in self.axes[name]:
            start = len(self.parent)
            self.parent += range(start, start + n)
            self.producers.append(Producer(self.current[0], kind, start, n))
            self.axes[name][0] = np.arange(start, start + n)
        return self.axes[name][0]

    # -- union-find

    def find(self, atoms: np.ndarray) -> np.ndarray:
        """Representative of each atom."""
        return np.array([self._root(int(a)) for a in atoms], np.int64)

    def _root(self, atom: int) -> int:
        while self.parent[atom] != atom:
            self.parent[atom] = self.parent[self.parent[atom]]
            atom = self.parent[atom]
        return atom

    def unite(self, a: np.ndarray, b: np.ndarray) -> None:
        """Makes the channels of two axes of equal length the same, position by position."""
        assert len(a) == len(b)
        if a is b:
            return
        for x, y in zip(a, b, strict=True):
            low, high = sorted((self._root(int(x)), self._root(int(y))))
            self.parent[high] = low

    def fix(self, atoms: np.ndarray) -> None:
        """These channels are never dropped."""
        self.unite(atoms, np.zeros_like(atoms))

    def is_fixed(self, atoms: np.ndarray) -> bool:
        """Whether none of these channels may be dropped, as far as seen until now."""
        return not self.find(atoms).any()


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def trace(module: nn.Module, example: Tensor) -> Trace:
    """Runs `module(example)` once under a Trace; outputs are fixed. Torch's generator is left as it was.

    Raises ThinningError where an operation cannot be followed, or the module fails by itself.
    """
    seen = Trace(module)
    seen.n_examples = len(example)
    seen.set_channels(example, 1 if example.dim() > 1 else 0, np.zeros(example.shape[1], np.int64))
    try:
        with torch.random.fork_rng(devices=[]), seen.watch():
            output = module(example)
    except ThinningError:
        raise
    except Exception as error:  # whatever a user's code raises is a mistake in the input
        reason = f"{type(error).__name__}: {error}"
        raise ThinningError(
            f"{seen.where} fails on inputs of shape {tuple(example.shape)}: {reason}"
        ) from error
    for tensor in tensors_in(output):
        channels = seen.channels(tensor)
        if channels is not None:
            seen.fix(channels.atoms)
    return seen
