"""The channels of every tensor in the forward passes of a network.

Every channel that a convolution or linear layer produces gets an *atom*, a number; atom 0 stands for
everything that must stay (input channels, outputs). A tensor's channel axis is an array of atoms, and an
operation that adds or multiplies two of them unites their atoms (union-find). A parameter that is used
outside layers has atoms on each of its axes, until they meet those of an activation. Couplings of several
passes add up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from distreal_sim.thinning.coupling.channels import Atoms, Channels, Couplings, Kind, Producer, WidthAttribute
from distreal_sim.thinning.coupling.counting import Macs
from distreal_sim.thinning.coupling.notes import NoRuleError, Note
from distreal_sim.thinning.coupling.operations import graph_from
from distreal_sim.thinning.coupling.record import Pass, Visit
from distreal_sim.thinning.coupling.running import Running
from distreal_sim.thinning.structure import ThinningError


class Trace:
    """The atoms of all tensors in the forward passes of `module`, and what else rules record of it.

    running: the module whose forward is running; now: the record of the present pass; macs: costs of
    operations, by `shapes_key`; unwatched: a module that cannot be watched, and why, which leaves the network
    without groups.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.running, self.now = module, Running(module), Pass()
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
        self._own = [*module.parameters(), *module.buffers()]  # an id is unique while its tensor lives
        self.axes: dict[str, dict[int, Atoms]] = {name: {} for name in self.names.values()}
        self.notes: dict[tuple[str, str], Note] = {}
        self.unwatched: tuple[str, str] | None = None
        self.macs: dict[Any, Macs] = {}
        self.forget()

    def forget(self) -> None:
        """Forgets the tensors of the last pass."""
        self._axes: dict[int, dict[int, Atoms]] = {}
        self._views: dict[int, str | None] = {}
        self._upstream: dict[int, frozenset[str]] = {}
        self._derived: set[int] = set()
        self._alive: dict[int, Tensor] = {}
        self._made: dict[int, tuple[str, dict[int, Atoms]]] = {}
        self._unreadable: dict[int, str] = {}

    # -- the forward pass

    def begin(self, example: Tensor) -> None:
        """Starts a pass on these examples."""
        self.now = Pass(n_examples=len(example))
        self._derived.add(id(example))
        self._alive[id(example)] = example
        if example.dim() > 1:
            self._axes[id(example)] = {1: np.zeros(example.shape[1], np.int64)}

    def read(self, operands: list[Tensor]) -> tuple[Atoms, ...]:
        """Records that an operation reads these tensors; returns what is known of their axes."""
        self.note_unwatched(operands)
        self.now.uses.update(self.names[id(a)] for a in operands if id(a) in self.names)
        return tuple(atoms for tensor in operands for atoms in self._known_axes(tensor).values())

    def make(self, results: list[Tensor], operands: list[Tensor], upstream: frozenset[str]) -> None:
        """Records that an operation makes tensors of others; upstream: of the operands before it."""
        derived = any(self.is_derived(a) for a in operands)
        for result in results:
            self._alive[id(result)] = result
            self._upstream[id(result)] = upstream
            if derived:
                self._derived.add(id(result))

    def alive(self) -> list[Tensor]:
        """All tensors of this pass."""
        return list(self._alive.values())

    def module_of(self, tensor: Tensor) -> str:
        """The module, by qualified name, in which the tensor was made."""
        return self._made.get(id(tensor), ("", {}))[0]

    def visit(self, name: str, results: list[Tensor], reads: tuple[Atoms, ...]) -> None:
        """Records an operation whose results have their axes; reads: see `read`."""
        axes = tuple(dict(self.axes_of(r)) if not self.name_of(r) else {} for r in results)
        own = tuple(not self.is_parameter(r) for r in results)
        self._made.update((id(r), (self.current[0], of)) for r, of in zip(results, axes, strict=True))
        self.now.visits.append(Visit(self.where, name, axes, own, self.current[0], reads))

    def forbid(self, tensor: Tensor, reason: str) -> None:
        """Leaves the network whole altogether, for this reason, if anything reads the tensor."""
        self._unreadable[id(tensor)] = reason

    def note_unwatched(self, tensors: list[Tensor]) -> None:
        """Leaves the network whole altogether if code that cannot be watched has made one of these tensors.

        Raises ThinningError for a parameter that no module holds.
        """
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
        return self.running.current

    @property
    def where(self) -> str:
        """The current module, for messages."""
        return self.running.where

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

    def leave_whole(self, name: str, operands: list[Tensor], results: list[Tensor], reason: str) -> None:
        """Records an operation without a rule, which reads and gives whole tensors only."""
        axes = [atoms for tensor in operands for atoms in self.axes_of(tensor).values()]
        self.note(self.current[0], self.where, reason, axes)
        for result in results:
            if self.name_of(result) is None:
                self._axes[id(result)] = {}
        self.notes[self.where, reason].operations.add(name)

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
        if name is not None:
            return frozenset({name})
        if isinstance(tensor.grad_fn, BackwardCFunction):  # within its forward pass nothing needs a gradient
            self._upstream[id(tensor)] = self.upstream_of(tensor.grad_fn)
        return self._upstream.get(id(tensor), frozenset())

    def upstream_of(self, node: Any) -> frozenset[str]:
        """The parameters that a backward pass from a node of the graph reaches."""
        reached = [getattr(before, "variable", None) for before in graph_from([node])]
        return frozenset(self.names[id(leaf)] for leaf in reached if id(leaf) in self.names)

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
