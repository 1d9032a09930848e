"""Watches forward passes and notes which channel of which tensor is which.

Every channel that a convolution or linear layer produces gets an *atom*, a number; atom 0 stands for
everything that must stay (input channels, outputs). A tensor's channel axis is an array of atoms, and an
operation that adds or multiplies two of them makes their atoms one (union-find). A parameter that is used
beside the layers has atoms on each of its axes, until they meet those of an activation. These are real
forward passes under a `TorchFunctionMode`, so any Python control flow in the model is fine; what several
passes couple is coupled.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.structure import Layer, ThinningError

Kind = Literal["conv", "linear"]
Fill = Literal["low", "high"]
Atoms = np.ndarray

_ASKS = frozenset({"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__"})
"""Operations by which a tensor's values reach the Python code."""

_UNIFORM = frozenset({"rand", "rand_like", "uniform_", "bernoulli", "bernoulli_"})


class Channels(NamedTuple):
    """The channel axis of an activation: which dimension it is and its atoms (length of that dimension)."""

    dim: int
    atoms: Atoms


class Producer(NamedTuple):
    """These atoms come from a `kind` layer of the module."""

    module: str
    kind: Kind
    atoms: Atoms


@dataclass(frozen=True)
class WidthAttribute:
    """A module attribute that holds the length of an axis (see structure.Override)."""

    module: str
    attribute: str
    atoms: Atoms
    full: tuple[int, ...] | int
    index: int | None


@dataclass(frozen=True)
class Visit:
    """One traced operation: where, its name, and the axes {dim: atoms} of each tensor that it gave.

    own: whether each of them holds values of its own, and is no parameter seen from another side.
    """

    where: str
    operation: str
    axes: tuple[dict[int, Atoms], ...]
    own: tuple[bool, ...]


@dataclass
class Pass:
    """What one forward pass did: its layers, operations, and uses of each tensor.

    nodes: each layer's in the autograd graph, if it is in one. asked: whether a tensor's values reached the
    Python code.
    """

    layers: list[Layer] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    uses: Counter[str] = field(default_factory=Counter)
    asked: bool = False
    n_examples: int = 1

    @property
    def path(self) -> list[tuple[str, str]]:
        """Module and name of each operation on channels."""
        return [(visit.where, visit.operation) for visit in self.visits if any(visit.axes)]


class Trace(TorchFunctionMode):
    """Atoms of everything seen in forward passes of `module`, which `run` makes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.parent = np.zeros(1, np.int64)
        self.producers: dict[tuple[str, int], Producer] = {}
        self.blocked: list[tuple[str, Atoms, int]] = []
        self.attributes: dict[tuple[str, str], WidthAttribute] = {}
        self.scaled: dict[str, Atoms] = {}
        self.transposed: set[str] = set()
        self.weight_blocks: dict[str, int] = {}
        self.names: dict[int, str] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self.names[id(tensor)] = name
        self._own = list(module.parameters()) + list(
            module.buffers()
        )  # an id is unique while its tensor lives
        self.axes: dict[str, dict[int, Atoms]] = {name: {} for name in self.names.values()}
        self.now = Pass()
        self._stack: list[tuple[str, nn.Module]] = [("", module)]
        self._forget()

    def _forget(self) -> None:
        self._axes: dict[int, dict[int, Atoms]] = {}
        self._views: dict[int, str | None] = {}
        self._behind: dict[int, frozenset[str]] = {}
        self._derived: set[int] = set()
        self._alive: dict[int, Tensor] = {}

    # -- the forward pass

    def run(self, example: Tensor, seed: int = 0, fill: Fill | None = None) -> Pass:
        """One forward pass; outputs are fixed. Torch's generator is left as it was.

        seed: each operation draws from a generator of its own seed and number, so that what one draws does
        not depend on how much another did. fill: uniform draws are all as low, or as high, as they can be.
        Raises ThinningError where an operation cannot be followed, or the module fails by itself.
        """
        self.now = Pass(n_examples=len(example))
        self._seed, self._fill = seed, fill
        self._stack = [("", self.module)]
        self._derived.add(id(example))
        self._alive[id(example)] = example
        if example.dim() > 1:
            self._axes[id(example)] = {1: np.zeros(example.shape[1], np.int64)}
        try:
            with torch.random.fork_rng(devices=[]), self.watch():
                output = self.module(example)
        except ThinningError:
            raise
        except Exception as error:  # whatever a user's code raises is a mistake in the input
            mode = "" if self.module.training else " in evaluation mode"
            raise ThinningError(
                f"{self.where} fails{mode} on inputs of shape {tuple(example.shape)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        outputs = outputs_in(output)
        self._leave_out_gradients(outputs)
        for tensor in outputs:
            self._refuse_unwatched([tensor])
            for atoms in self.axes_of(tensor).values():
                self.fix(atoms)
        self._forget()
        self.now.nodes.clear()
        return self.now

    def _leave_out_gradients(self, outputs: list[Tensor]) -> None:
        """Layers that no gradient of the outputs reaches cost none."""
        reached = _graph(outputs)
        for place, (layer, node) in enumerate(zip(self.now.layers, self.now.nodes, strict=True)):
            if layer.n_gradients and node is None and any(isinstance(n, BackwardCFunction) for n in reached):
                raise ThinningError(
                    f"module '{layer.module}' cannot be thinned: it runs within an autograd "
                    f"function (such as a "
                    "reentrant checkpoint), so that what its gradients cost is not known"
                )
            if node is None or node not in reached:
                self.now.layers[place] = replace(layer, n_gradients=0, behind=frozenset())

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Traces what is called inside, and keeps track of the module it is called in."""
        hooks = []
        self._generators = _generators()
        for name, part in self.module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue  # has no such hooks
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
            self._refuse_other_generators()
            self._stack.append((name, part))

        return enter

    def _leave(self, part: nn.Module, args: Any, output: Any) -> None:
        self._refuse_other_generators()
        self._stack.pop()

    def _refuse_other_generators(self) -> None:
        if self._seed:  # one pass is enough: this takes longer than a small layer
            return
        for library, before, after in zip(
            ("random", "numpy.random"), self._generators, _generators(), strict=True
        ):
            if before != after:
                raise self.refuse(
                    f"its forward pass draws from the global generator of {library}, whose draws could "
                    "take it on another path unseen; draw from torch's instead (for example torch.rand(()))"
                )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from distreal_sim.thinning.coupling.rules import apply_rule

        kwargs = kwargs or {}
        name = operation_name(func)
        operands = tensors_in((args, kwargs))
        before = {id(a): tuple(a.shape) for a in operands}
        sources = frozenset().union(*map(self.behind, operands))
        seed_operation(self._seed, len(self.now.visits))
        out = func(*args, **kwargs)
        self.now.asked |= name in _ASKS
        results = results_of(name, args, out)
        if not results:
            return out
        if self._fill is not None and name in _UNIFORM:
            _fill_draw(name, args, results[0], self._fill)
        self._refuse_unwatched(operands)
        self.now.uses.update(self.names[id(a)] for a in operands if id(a) in self.names)
        derived = any(self.is_derived(a) for a in operands)
        for result in results:
            self._alive[id(result)] = result
            self._behind[id(result)] = sources
            if derived:
                self._derived.add(id(result))
        apply_rule(self, func, name, args, kwargs, out, before)
        axes = tuple(dict(self.axes_of(r)) if not self.name_of(r) else {} for r in results)
        own = tuple(not self.is_parameter(r) for r in results)
        self.now.visits.append(Visit(self.where, name, axes, own))
        return out

    def _refuse_unwatched(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) in self._alive or id(tensor) in self.names or not tensor.requires_grad:
                continue
            if tensor.is_leaf:
                raise self.refuse(
                    "it uses a parameter that no module of it holds (one in a plain Python list or "
                    "dict, or made "
                    "in the forward pass); keep it in an nn.ParameterList, or as an attribute of a module"
                )
            raise self.refuse(
                "it uses a tensor from code that cannot be watched (torch.jit.script, torch.vmap, "
                "an extension); "
                "use plain PyTorch operations there"
            )

    # -- where we are

    @property
    def current(self) -> tuple[str, nn.Module]:
        """Qualified name and module whose forward is running."""
        return self._stack[-1]

    @property
    def where(self) -> str:
        """The same, for messages."""
        return place_of(*self.current)

    def refuse(self, reason: str) -> ThinningError:
        """The error for something in the current module that cannot be thinned."""
        return ThinningError(f"{self.where} cannot be thinned: {reason}")

    def whole(self, atoms: Atoms, reason: str) -> None:
        """Something needs these channels whole. Raises ThinningError if any may be dropped."""
        if len(atoms) > 1 and not self.is_fixed(atoms):
            raise self.refuse(reason)

    def lose(self, tensor: Tensor, reason: str) -> None:
        """An operation ends what is known of the tensor's axes: those of a parameter then stay whole."""
        for atoms in self.axes_of(tensor).values():
            if self.is_parameter(tensor):
                self.fix(atoms)
            else:
                self.whole(atoms, reason)

    # -- channels of activations, axes of parameters

    def axes_of(self, tensor: Any) -> dict[int, Atoms]:
        """The axes {dim: atoms} of a tensor that hold channels, or may come to meet some."""
        name = self.name_of(tensor)
        if name is None:
            return self._axes.get(id(tensor), {})
        known = self.axes[name]
        for dim, size in enumerate(tensor.shape):
            if dim not in known and size > 1:
                known[dim] = self._new_atoms(size)
        if name in self.weight_blocks:  # its rows do not have one and the same input channels
            self.fix(known[1])
        return {dim: atoms for dim, atoms in known.items() if len(atoms) == tensor.shape[dim] > 1}

    def channels(self, tensor: Any) -> Channels | None:
        """Channel axis of an activation; None if it has none that could be dropped."""
        axes = {} if self.is_parameter(tensor) else self._axes.get(id(tensor), {})
        return next((Channels(dim, atoms) for dim, atoms in axes.items()), None)

    def put(
        self, tensor: Tensor, axes: dict[int, Atoms], source: Tensor | None = None, same: bool = True
    ) -> None:
        """Notes the axes of a tensor; source: the parameter, if it is one, that it is made of.

        same: it shows the source's own values.
        """
        if self.name_of(tensor) is not None:
            return
        assert all(tensor.shape[dim] == len(atoms) for dim, atoms in axes.items())
        self._axes[id(tensor)] = axes
        if source is not None and self.is_parameter(source):
            self._views[id(tensor)] = (self.name_of(source) or self._views.get(id(source))) if same else None

    def set_channels(self, tensor: Tensor, dim: int, atoms: Atoms) -> None:
        """Notes the channel axis of an activation."""
        self.put(tensor, {dim: atoms})

    def is_parameter(self, tensor: Any) -> bool:
        """Whether it is a parameter or buffer, or made of such and constants only."""
        return id(tensor) in self.names or id(tensor) in self._views

    def is_derived(self, tensor: Tensor) -> bool:
        """Whether its values go back to the network's input or to a parameter."""
        return id(tensor) in self._derived or id(tensor) in self.names

    def shown(self, tensor: Tensor) -> str | None:
        """The parameter or buffer whose values the tensor shows, its axes in whatever order."""
        return self.name_of(tensor) or self._views.get(id(tensor))

    def behind(self, tensor: Tensor) -> frozenset[str]:
        """The parameters that a gradient in the tensor goes back to."""
        if not tensor.requires_grad:
            return frozenset()
        name = self.names.get(id(tensor))
        return self._behind.get(id(tensor), frozenset()) if name is None else frozenset({name})

    def name_of(self, tensor: Any) -> str | None:
        """Qualified name of a parameter or buffer; None for other tensors."""
        return self.names.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def bind(self, name: str, dim: int, atoms: Atoms) -> None:
        """Axis `dim` of the named parameter or buffer holds these channels."""
        known = self.axes[name].setdefault(dim, atoms)
        if len(known) != len(atoms):
            raise self.refuse(f"'{name}' is used with {len(known)} and with {len(atoms)} channels")
        self.unite(known, atoms)

    def produced(self, name: str, n: int, kind: Kind, dim: int = 0) -> Atoms:
        """Atoms of the axis of the named weight that a layer gives; the same ones for each use of it."""
        if dim not in self.axes[name]:
            self.axes[name][dim] = self._new_atoms(n)
        atoms = self.axes[name][dim]
        self.producers.setdefault((name, dim), Producer(self.current[0], kind, atoms))
        return atoms

    def _new_atoms(self, n: int) -> Atoms:
        new = np.arange(len(self.parent), len(self.parent) + n)
        self.parent = np.concatenate((self.parent, new))
        return new

    # -- union-find

    def find(self, atoms: Atoms) -> Atoms:
        """Representative of each atom."""
        roots = self.parent[atoms]
        while not np.array_equal(above := self.parent[roots], roots):
            roots = above
        self.parent[atoms] = roots
        found: Atoms = roots
        return found

    def unite(self, a: Atoms, b: Atoms) -> None:
        """Makes the channels of two axes of equal length the same, position by position."""
        assert len(a) == len(b)
        differ = self.find(a) != self.find(b)
        for x, y in zip(a[differ], b[differ], strict=True):
            low, high = sorted((self._root(int(x)), self._root(int(y))))
            self.parent[high] = low

    def _root(self, atom: int) -> int:
        while self.parent[atom] != atom:
            atom = int(self.parent[atom])
        return atom

    def fix(self, atoms: Atoms) -> None:
        """These channels are never dropped."""
        self.unite(atoms, np.zeros_like(atoms))

    def is_fixed(self, atoms: Atoms) -> bool:
        """Whether none of these channels may be dropped, as far as seen until now."""
        return not self.find(atoms).any()


def place_of(name: str, module: nn.Module) -> str:
    """A module as messages name it."""
    return f"module '{name}' ({type(module).__name__})" if name else f"the model ({type(module).__name__})"


def operation_name(func: Any) -> str:
    """Name of a torch operation; a property, such as `.T`, has its own."""
    name: str = getattr(func, "__name__", str(func))
    if name == "__get__":
        return f".{getattr(getattr(func, '__self__', None), '__name__', '')}"
    return name


def _generators() -> tuple[Any, Any]:
    """States of the global generators of Python and of numpy."""
    state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), (state["pos"], state["key"].tobytes())


def seed_operation(seed: int, number: int) -> None:
    """Seeds torch's generator for one operation of a pass."""
    torch.default_generator.manual_seed(1_000_003 * seed + number)


def results_of(name: str, args: tuple[Any, ...], out: Any) -> list[Tensor]:
    """The tensors that an operation gives or, if it gives none, changes."""
    if name == "__setitem__":
        return [args[0]]
    return [] if name == "__set__" else tensors_in(out)


def _fill_draw(name: str, args: tuple[Any, ...], drawn: Tensor, fill: Fill) -> None:
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


def _graph(outputs: list[Tensor]) -> set[Any]:
    """The nodes of the autograd graph that a backward pass from the outputs walks through."""
    todo = [t.grad_fn for t in outputs if t.grad_fn is not None]
    reached: set[Any] = set()
    while todo:
        node = todo.pop()
        if node not in reached:
            reached.add(node)
            todo += [n for n, _ in node.next_functions if n is not None]
    return reached


def outputs_in(value: Any) -> list[Tensor]:
    """All tensors in what a network returns: those of tensors_in, and in the fields of dataclasses."""
    if is_dataclass(value) and not isinstance(value, (type, dict)):
        value = [getattr(value, f.name, None) for f in fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in outputs_in(item)]
    return tensors_in(value)
