"""Traces forward passes and records the channels of every tensor.

Every channel that a convolution or linear layer produces gets an *atom*, a number; atom 0 stands for
everything that must stay (input channels, outputs). A tensor's channel axis is an array of atoms, and an
operation that adds or multiplies two of them unites their atoms (union-find). A parameter that is used
outside layers has atoms on each of its axes, until they meet those of an activation. These are real forward
passes under a `TorchFunctionMode`, so any Python control flow in the model is fine; couplings of several
passes add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._C._functorch import is_batchedtensor
from torch.overrides import TorchFunctionMode

from distreal_sim.thinning.coupling.channels import Atoms, Channels, Couplings, Kind, Producer, WidthAttribute
from distreal_sim.thinning.coupling.counting import Macs, macs_of, shapes_key
from distreal_sim.thinning.coupling.formulas import UnknownCostError
from distreal_sim.thinning.coupling.guards import Guards, refuse_reentrant
from distreal_sim.thinning.coupling.notes import NoRuleError, Note
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
from distreal_sim.thinning.coupling.record import Pass, Visit
from distreal_sim.thinning.coupling.running import Running
from distreal_sim.thinning.structure import Product, ThinningError

_NO_GRADIENTS = "it runs within an autograd function, so that what its gradients cost is not known by layer"

Rule = Callable[["Trace", Any, str, tuple[Any, ...], dict[str, Any], Any, dict[int, tuple[int, ...]]], None]
"""rule(trace, func, name, args, kwargs, out, before): records the channels of an operation's results."""


class Trace(TorchFunctionMode):
    """Atoms of all tensors in the forward passes of `module` that `run` makes."""

    def __init__(self, module: nn.Module, rule: Rule) -> None:
        super().__init__()
        self.module, self._rule = module, rule
        self.couplings = Couplings()
        self.producers: dict[tuple[str, int], Producer] = {}
        self.blocked: list[tuple[str, Atoms, int]] = []
        self.attributes: dict[tuple[str, str], WidthAttribute] = {}
        self.sums: list[Atoms] = []
        self.normed: list[tuple[str, str, Atoms]] = []
        self.scaled: dict[str, Atoms] = {}
        self.transposed: set[str] = set()
        self.tables: set[str] = set()
        self.weight_blocks: dict[str, int] = {}
        self.names: dict[int, str] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self.names[id(tensor)] = name
        self._own = list(module.parameters()) + list(
            module.buffers()
        )  # an id is unique while its tensor lives
        self._guards = Guards(module)
        self.axes: dict[str, dict[int, Atoms]] = {name: {} for name in self.names.values()}
        self.notes: dict[tuple[str, str], Note] = {}
        self.unwatched: tuple[str, str] | None = None
        self._macs: dict[Any, Macs] = {}
        self.now = Pass()
        self._running = Running(module)
        self._forget()

    def _forget(self) -> None:
        self._guards.forget()
        self._axes: dict[int, dict[int, Atoms]] = {}
        self._views: dict[int, str | None] = {}
        self._upstream: dict[int, frozenset[str]] = {}
        self._derived: set[int] = set()
        self._alive: dict[int, Tensor] = {}
        self._made: dict[int, tuple[str, dict[int, Atoms]]] = {}
        self._unreadable: dict[int, str] = {}

    # -- the forward pass

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
        self.now = Pass(n_examples=len(example))
        self._seed, self._fill, self._force = seed, fill, force
        self._derived.add(id(example))
        self._guards.begin(example)
        self._alive[id(example)] = example
        if example.dim() > 1:
            self._axes[id(example)] = {1: np.zeros(example.shape[1], np.int64)}
        try:
            first = not seed  # one pass is enough to find draws of other libraries
            with torch.random.fork_rng(devices=[]), self._running.follow(watch_generators=first), self:
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
        refuse_reentrant(outputs)
        if (hidden := self.now.leave_out_gradients(outputs)) is not None:
            self.unwatched = f"module '{hidden}'", _NO_GRADIENTS
        for tensor in outputs:
            self._note_unwatched([tensor])
            for atoms in self.axes_of(tensor).values():
                self.couplings.fix(atoms)
        self._forget()
        self.now.nodes.clear()
        self.now.product_nodes.clear()
        return self.now

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation_name(func)
        operands = tensors_in((args, kwargs))
        before = {id(a): tuple(a.shape) for a in operands}
        sources = frozenset().union(*map(self.upstream, operands))
        self._guards.refuse(self.where, func, name, args, kwargs)
        seed_operation(self._seed, len(self.now.visits))
        out = func(*args, **kwargs)
        if any(map(is_batchedtensor, operands)):
            self.unwatched = self.where, "it runs under torch.vmap, which hides the examples"
            return out
        if name in ASKS:
            self.now.asked = True
            if self._force is not None and operands and self.is_derived(operands[0]):
                forced, self._force = forced_value(out, self._force), None
                return forced
        results = results_of(name, args, out)
        if not results:
            return out
        if self._fill is not None and name in UNIFORM:
            fill_draw(name, args, results[0], self._fill)
        self._note_unwatched(operands)
        self.now.uses.update(self.names[id(a)] for a in operands if id(a) in self.names)
        derived = any(self.is_derived(a) for a in operands)
        for result in results:
            self._alive[id(result)] = result
            self._upstream[id(result)] = sources
            if derived:
                self._derived.add(id(result))
        reads = tuple(atoms for tensor in operands for atoms in self._known_axes(tensor).values())
        n_costs = self.now.n_costs
        try:
            self._rule(self, func, name, args, kwargs, out, before)
        except NoRuleError as found:
            self._leave_whole(func, name, args, kwargs, out, found.reason)
        costs = self.now.n_costs > n_costs
        self._guards.follow(self.where, name, args, kwargs, operands, results, costs)
        axes = tuple(dict(self.axes_of(r)) if not self.name_of(r) else {} for r in results)
        own = tuple(not self.is_parameter(r) for r in results)
        self._made.update((id(r), (self.current[0], of)) for r, of in zip(results, axes, strict=True))
        self.now.visits.append(Visit(self.where, name, axes, own, self.current[0], reads))
        return out

    def forbid(self, tensor: Tensor, reason: str) -> None:
        """Leaves the network whole altogether, for this reason, if anything reads the tensor."""
        self._unreadable[id(tensor)] = reason

    def _note_unwatched(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) in self._unreadable:
                self.unwatched = self.unwatched or (self.where, self._unreadable[id(tensor)])
            if id(tensor) in self._alive or id(tensor) in self.names or not tensor.requires_grad:
                continue
            if tensor.is_leaf:
                raise ThinningError(
                    f"{self.where} cannot be trained: "
                    "it uses a parameter that no module of it holds (one in a plain Python list or "
                    "dict, or made "
                    "in the forward pass); keep it in an nn.ParameterList, or as an attribute of a module"
                )
            self.unwatched = self.unwatched or (
                self.where,
                "it uses a tensor from code that cannot be watched (torch.jit.script, an extension); use "
                "plain PyTorch operations there",
            )
            self._alive[id(tensor)] = tensor

    # -- the current module

    @property
    def current(self) -> tuple[str, nn.Module]:
        """(qualified name, module) of the module whose forward is running."""
        return self._running.current

    @property
    def where(self) -> str:
        """The current module, for messages."""
        return self._running.where

    def refuse(self, reason: str) -> ThinningError:
        """The error by which a rule says that it does not cover an operation of the current module.

        The operation then runs whole.
        """
        return NoRuleError(self.where, reason)

    def whole(self, atoms: Atoms, reason: str) -> None:
        """Keeps these channels whole, and notes the reason if any of them might have been dropped.

        A single channel is never dropped anyhow.
        """
        if len(atoms) > 1 and not self.couplings.is_fixed(atoms):
            self.note(self.current[0], self.where, reason, [atoms])

    def note(self, module: str, where: str, reason: str, axes: Iterable[Atoms]) -> bool:
        """Keeps all these axes whole; returns whether any of their channels might have been dropped."""
        roots = {int(r) for atoms in axes for r in self.couplings.find(atoms)} - {0}
        note = self.notes.setdefault((where, reason), Note(where, module, reason, set(), set()))
        for (name, _), producer in self.producers.items():
            if not roots.isdisjoint(self.couplings.find(producer.atoms).tolist()):
                note.weights.add(name)
        self.couplings.fix(np.array(sorted(roots), np.int64))
        return bool(roots)

    def keep_streams(self) -> None:
        """Keeps residual streams whole: sums of activations that a layer norm normalises."""
        sums = {int(r) for atoms in self.sums for r in self.couplings.find(atoms)} - {0}
        for module, where, atoms in self.normed:
            if not sums.isdisjoint(self.couplings.find(atoms).tolist()):
                reason = "it normalises a residual stream, so a dropped channel would change all the others"
                self.note(module, where, reason, [atoms])

    def lose(self, tensor: Tensor, reason: str) -> None:
        """Records that the tensor's axes cannot be followed further and stay whole."""
        for atoms in self.axes_of(tensor).values():
            if self.is_parameter(tensor):
                self.couplings.fix(atoms)
            else:
                self.whole(atoms, reason)

    def _leave_whole(self, func: Any, name: str, args: Any, kwargs: Any, out: Any, reason: str) -> None:
        """Records an operation without a rule, which reads and gives whole tensors only."""
        operands = tensors_in((args, kwargs))
        self.note(*self._here(), reason, [a for t in operands for a in self.axes_of(t).values()])
        for result in results_of(name, args, out):
            if self.name_of(result) is None:
                self._axes[id(result)] = {}
        self.notes[self.where, reason].operations.add(name)
        self.count(func, name, args, kwargs, out)

    def _here(self) -> tuple[str, str]:
        return self.current[0], self.where

    def count(
        self, func: Any, name: str, args: Any, kwargs: Any, out: Any, axis: Atoms | None = None
    ) -> None:
        """Records the products of an operation that is no layer, if it has any.

        axis: its cost is proportional to the number of these channels. Raises ThinningError for a cost that
        does not grow with the number of examples.
        """
        operands = tensors_in((args, kwargs))
        results = tensors_in(out)
        if not any(map(self.is_derived, operands)):
            return
        grad = any(r.requires_grad for r in results)
        key = shapes_key(func, args, kwargs, grad)
        if key not in self._macs:
            parameters = {id(t) for t in operands if id(t) in self.names}
            try:
                self._macs[key] = macs_of(func, args, kwargs, parameters, grad)
            except UnknownCostError as error:
                raise ThinningError(f"{self.where} cannot be simulated: {error}") from None
        macs = self._macs[key]
        if not any(macs):
            return
        n = self.now.n_examples
        if any(m % n for m in macs):
            raise ThinningError(
                f"{self.where} has products ('{name}') of {macs.forward} multiply-adds for {n} examples, so "
                "that their cost is not that of an example times their number; the cost of a step must be"
            )
        weights = frozenset(self.names[id(t)] for t in operands if id(t) in self.names and t.requires_grad)
        others = [t for t in operands if id(t) not in self.names]
        upstream = frozenset().union(*map(self.upstream, others)) if macs.inputs else frozenset()
        product = Product(
            self.current[0],
            name,
            forward_macs=macs.forward // n,
            weight_macs=macs.weights // n,
            input_macs=macs.inputs // n,
            both_macs=macs.both // n,
            weights=weights,
            upstream=upstream,
            beside=self._running.parameters(),
        )
        self.now.add(product, axis, results)

    # -- channels of activations, axes of parameters

    def axes_of(self, tensor: Any) -> dict[int, Atoms]:
        """The axes {dim: atoms} of a tensor that hold channels, or may meet channels later."""
        name = self.name_of(tensor)
        if name is None:
            return self._axes.get(id(tensor), {})
        known = self.axes[name]
        for dim, size in enumerate(tensor.shape):
            if dim not in known and size > 1:
                known[dim] = self.couplings.new(size)
        if name in self.weight_blocks:  # its rows have different input channels
            self.couplings.fix(known[1])
        return {dim: atoms for dim, atoms in known.items() if len(atoms) == tensor.shape[dim] > 1}

    def _known_axes(self, tensor: Tensor) -> dict[int, Atoms]:
        """Like axes_of, of those axes only that have atoms."""
        name = self.name_of(tensor)
        return self._axes.get(id(tensor), {}) if name is None else self.axes[name]

    def channels(self, tensor: Any) -> Channels | None:
        """Channel axis of an activation; None if it has none that could be dropped."""
        axes = {} if self.is_parameter(tensor) else self._axes.get(id(tensor), {})
        return next((Channels(dim, atoms) for dim, atoms in axes.items()), None)

    def put(
        self, tensor: Tensor, axes: dict[int, Atoms], source: Tensor | None = None, same: bool = True
    ) -> None:
        """Records the axes of a tensor; source: the parameter that it is made from, if any.

        same: whether its values are the source's own.
        """
        if self.name_of(tensor) is not None:
            return
        assert all(tensor.shape[dim] == len(atoms) for dim, atoms in axes.items())
        self._axes[id(tensor)] = axes
        if source is not None and self.is_parameter(source):
            self._views[id(tensor)] = (self.name_of(source) or self._views.get(id(source))) if same else None

    def set_channels(self, tensor: Tensor, dim: int, atoms: Atoms) -> None:
        """Records the channel axis of an activation."""
        self.put(tensor, {dim: atoms})

    def give(self, tensor: Tensor, dim: int, atoms: Atoms) -> None:
        """Records that a tensor made in the current module's code, such as zeros, has these channels.

        Those of another module's code fix the width.
        """
        module, axes = self._made.get(id(tensor), ("", {}))
        if module != self.current[0]:
            self.whole(atoms, f"a tensor made in its code fixes the width at {len(atoms)} channels")
            return
        self.set_channels(tensor, dim, atoms)
        axes[dim] = atoms

    def is_parameter(self, tensor: Any) -> bool:
        """Whether the tensor is a parameter or buffer, or made only from those and constants."""
        return id(tensor) in self.names or id(tensor) in self._views

    def is_derived(self, tensor: Tensor) -> bool:
        """Whether the tensor's values depend on the network's input or on a parameter."""
        return id(tensor) in self._derived or id(tensor) in self.names

    def shown(self, tensor: Tensor) -> str | None:
        """The parameter or buffer whose values the tensor holds, with its axes in any order."""
        return self.name_of(tensor) or self._views.get(id(tensor))

    def upstream(self, tensor: Tensor) -> frozenset[str]:
        """The parameters that a gradient of the tensor reaches."""
        if not tensor.requires_grad:
            return frozenset()
        name = self.names.get(id(tensor))
        return self._upstream.get(id(tensor), frozenset()) if name is None else frozenset({name})

    def name_of(self, tensor: Any) -> str | None:
        """Qualified name of a parameter or buffer; None for other tensors."""
        return self.names.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def bind(self, name: str, dim: int, atoms: Atoms) -> None:
        """Records that axis `dim` of the named parameter or buffer holds these channels."""
        known = self.axes[name].setdefault(dim, atoms)
        if len(known) != len(atoms):
            raise self.refuse(f"'{name}' is used with {len(known)} and with {len(atoms)} channels")
        self.couplings.unite(known, atoms)

    def produced(self, name: str, n: int, kind: Kind, dim: int = 0) -> Atoms:
        """Atoms of a layer's output axis of the named weight; the same atoms for each use of the weight."""
        if dim not in self.axes[name]:
            self.axes[name][dim] = self.couplings.new(n)
        atoms = self.axes[name][dim]
        self.producers.setdefault((name, dim), Producer(self.current[0], kind, atoms))
        return atoms
