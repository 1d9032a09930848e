"""Runs plain and thinned SGD steps of an unmodified network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.engine.chain import find_chain
from distreal_sim.thinning.engine.layout import keep_layout
from distreal_sim.thinning.engine.linear import Descent
from distreal_sim.thinning.engine.memory import Memory, RowIndex
from distreal_sim.thinning.engine.plans import Plan, Plans, Scaling
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.snapshot import Snapshot
from distreal_sim.thinning.structure import Precision, Structure, ThinningError

__all__ = ["Engine", "Loss", "Run", "Scaling"]

Loss = Callable[[Any, Tensor], Tensor]

Run = Callable[[nn.Module, Tensor], Any]
"""run(network, x): what the loss is given as outputs."""


class Engine:
    """Runs plain and thinned SGD steps of an unmodified network, on a private copy of it.

    The resident tensors are full-width. A thinned step gathers what its mask keeps and runs forward and
    backward on small dense kernels; the result is written back when another mask follows. Nothing that
    belongs to a dropped channel changes, be it weight or momentum. Batch norm uses the batch's statistics;
    where the network keeps it in evaluation mode, those that it came with. The network's own dropout draws
    from torch's default generator.

    names: the trainable parameters in the network's order. scaling: `inverted` multiplies what layers read
    from a thinned group by channels / kept. running: every step updates running
    statistics as torch does, of the kept channels; without it none are kept. What is loaded and exported:
    `names`, and behind them the running statistics. precision: bfloat16 leaves it to PyTorch's autocast which
    operations of a forward pass that is trained through are in bfloat16; large linear layers that are updated
    in the backward pass (`linear.py`), chains of linear layers (`chain.py`), the loss, the parameters, and
    passes without a graph are not.
    """

    def __init__(
        self,
        module: nn.Module,
        structure: Structure,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        scaling: Scaling = "none",
        precision: Precision = "float32",
        running: bool = False,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.structure = structure
        self.momentum, self.weight_decay, self.scaling = momentum, weight_decay, scaling
        self._module = copy.deepcopy(module).to(device=device, dtype=dtype).train()
        self.dtype = dtype
        self._norms = {
            name: part
            for name, part in self._module.named_modules()
            # One that stays in evaluation mode (frozen) keeps its statistics, as the constants that they are.
            if isinstance(part, _NormBase) and part.running_mean is not None and part.training
        }
        self._running = running
        self._forget_statistics()
        self.names = tuple(n for n, p in self._module.named_parameters() if p.requires_grad)
        kept = [f"{name}.running_{key}" for name in self._norms for key in ("mean", "var")] if running else []
        self._carried = (*self.names, *kept)
        self._chain = find_chain(self._module, self.names)
        self._mixed = precision == "bfloat16" and self._chain is None
        keep_layout(self._module)  # behind it: a module with hooks is in no chain
        values = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
        layouts = {n: structure.tensors[n] for n in values if n in structure.tensors}
        read_only = [n for n, v in values.items() if not v.is_floating_point() and layouts[n].cut_groups]
        if read_only:
            raise ThinningError(f"buffer '{read_only[0]}' has channels but is not of a floating-point type")
        layouts = {n: layout for n, layout in layouts.items() if values[n].is_floating_point()}
        self._rows = RowIndex(layouts)
        self._new_memory = partial(Memory, layouts, self._rows.arenas, device, dtype)
        self._memory = self._new_memory()
        self._momenta = self._new_memory() if momentum else None
        for name, full in self._memory.full.items():
            full.copy_(values[name].detach())
        memories = self._memory, self._momenta
        self._plans = Plans(self._module, structure, self.names, *memories, self._rows, scaling)
        self._full = structure.full_counts()
        self._anchors: list[Tensor] = []
        self._sums: Memory | None = None
        self._summed: set[int] = set()
        self._bound: Plan | None = None
        self._held: Mask | None = None  # what the scratch memory holds, and at which rows
        self._rows_held: list[np.ndarray] = []
        self._momenta_held = self._changed = False
        self._bind(self._plans.get(self._full))
        self._initial = Snapshot(self._module, but=self._carried)

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copies in parameters and running statistics, by name and at full width, and clears the momentum.

        Everything else that the network keeps, buffers and attributes, becomes what it was at first. Raises
        InputError where a name is missing or a shape is another.
        """
        self._enter(None)
        self._initial.restore()
        with torch.no_grad():
            for name in self._carried:
                full = self._memory.full[name]
                if name not in arrays:
                    raise InputError(f"the arrays to load lack parameter '{name}'")
                array = np.asarray(arrays[name])
                if array.shape != tuple(full.shape):
                    raise InputError(
                        f"'{name}' has shape {array.shape} where the network has {tuple(full.shape)}"
                    )
                if full.is_cpu:
                    np.copyto(full.numpy(), array)
                else:
                    full.copy_(_as_tensor(array))
            for norm in self._norms.values():
                if norm.num_batches_tracked is not None:  # a cumulative average is of this job's batches
                    norm.num_batches_tracked.zero_()
        if self._momenta is not None:
            self._momenta.clear()
        if self._sums is not None:
            self._sums.clear()
            self._summed.clear()

    def export(
        self, names: Collection[str] | None = None, empty: Callable[..., np.ndarray] = np.empty
    ) -> dict[str, np.ndarray]:
        """Copies of what is loaded, by name and at full width; names: which of it, if not everything.

        empty(shape, dtype): the arrays that are filled.
        """
        self._put_back()
        copies: dict[str, np.ndarray] = {}
        for name in self._carried:
            if names is None or name in names:
                full = self._memory.full[name].detach().cpu().numpy()
                copies[name] = empty(full.shape, full.dtype)
                np.copyto(copies[name], full)
        return copies

    def anchor(self) -> None:
        """Remembers the parameters as they are: what the proximal term of later steps pulls towards."""
        self._put_back()
        self._anchors = [self._memory.full[name].detach().clone() for name in self.names]

    def step(
        self,
        x: Tensor,
        y: Tensor,
        mask: Mask | None,
        lr: float,
        loss_fn: Loss = F.cross_entropy,
        *,
        trained: Collection[str] | None = None,
        proximal: float = 0.0,
        max_norm: float | None = None,
        run: Run | None = None,
    ) -> float:
        """One SGD step on examples x, labels y; returns the loss.

        mask: the channels it keeps; None: a plain step of the full network, as torch.optim.SGD has it: to the
        bit, but for large linear layers and chains of linear layers, which add up the same terms in another
        order and are as near to the float64 step as torch's. loss_fn: (outputs, y) -> scalar.
        trained: names of the parameters that it changes, None for all; no gradient is computed for the
        others, and their momentum rests. proximal: mu of the term mu / 2 * |w - anchor|^2, for plain steps
        after `anchor`. max_norm: the loss's gradient, all of it as one vector, is scaled down to this norm
        where it is longer, as by torch's clip_grad_norm_. run: how the outputs are computed; the network's
        own forward pass if not given.
        """
        assert not proximal or mask is None
        plan, _ = self._enter(mask, with_momenta=True)
        self._changed = self._held is not None
        anchors = self._anchors if proximal else []
        descent = Descent(lr, self.momentum, self.weight_decay, proximal)
        plain = loss_fn is F.cross_entropy and run is None and trained is None and max_norm is None
        if plain and self._chain is not None and not plan.scales:
            return self._chain.step(x, y, plan.values, plan.momenta, anchors, descent)
        for linear, index in plan.linears:
            # The norm of all gradients is known only once there are all of them.
            if max_norm is None and (trained is None or self.names[index] in trained):
                velocity, anchor = (of[index] if of else None for of in (plan.momenta, anchors))
                linear.on(descent, plan.leaves[index], velocity, anchor)
        try:
            loss, grads = self._backward(plan, x, y, loss_fn, trained, run)
        finally:
            for linear, _ in plan.linears:
                linear.off()
        for linear, index in plan.linears:
            if linear.updated and grads[index] is not None:
                raise ThinningError(
                    f"'{self.names[index]}' is used by its layer and beside it too, so that its update would "
                    "be wrong; run the network by torch.func.functional_call with weights of your own"
                )
        if max_norm is not None:
            grads = _clipped(grads, max_norm)
        self._update(plan, grads, lr, proximal)
        return loss.item()

    def gradients(
        self, x: Tensor, y: Tensor, mask: Mask | None, loss_fn: Loss = F.cross_entropy
    ) -> tuple[float, dict[str, Tensor]]:
        """Loss and its gradient in every parameter in `names`, at the mask's width; changes nothing.

        A parameter that the loss does not depend on has no entry.
        """
        plan, _ = self._enter(mask)
        before = Snapshot(self._module)
        loss, grads = self._backward(plan, x, y, loss_fn)
        before.restore()
        return loss.item(), {n: g for n, g in zip(self.names, grads, strict=True) if g is not None}

    def accumulate(self, x: Tensor, y: Tensor, mask: Mask | None, loss_fn: Loss = F.cross_entropy) -> float:
        """Adds a loss's gradient at the mask's width to those that the next `apply` takes; returns the loss.

        Changes no parameter and no momentum. Losses may go through sub-networks of different masks.
        """
        plan, rows = self._enter(mask)
        loss, grads = self._backward(plan, x, y, loss_fn)
        sums = self._sums = self._sums or self._new_memory()
        sums.gather(rows)
        thinned = sums.thinned(plan.cut)
        for index, grad in enumerate(grads):
            if grad is not None:
                thinned[self.names[index]].add_(grad)
                self._summed.add(index)
        sums.scatter(rows)
        return loss.item()

    def apply(self, mask: Mask | None, lr: float) -> None:
        """One SGD step of the mask's channels along the gradients summed up since the last one.

        The mask must keep every channel that their masks kept. Where none of them reached, at a pair of
        channels that no mask kept both of, the gradient is 0, but momentum and weight decay act.
        """
        assert self._sums is not None
        plan, rows = self._enter(mask, with_momenta=True)
        self._changed = self._held is not None
        self._sums.gather(rows)
        thinned = self._sums.thinned(plan.cut)
        grads = [thinned[n] if i in self._summed else None for i, n in enumerate(self.names)]
        self._update(plan, grads, lr)
        self._sums.clear()
        self._summed.clear()

    def forward(self, x: Tensor, mask: Mask | None = None) -> Tensor:
        """Outputs in training mode, without a graph."""
        plan, _ = self._enter(mask)
        with torch.no_grad():
            self._scale(plan)
            outputs: Tensor = self._module(x)
        return outputs

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite numbers; a sum beyond their type's range counts as infinite."""
        self._put_back()
        full = self._memory.full
        return all(math.isfinite(full[name].detach().sum().item()) for name in self.names)

    @property
    def has_statistics(self) -> bool:
        """Whether the network has batch norm whose statistics must be estimated before it is tested."""
        return bool(self._norms) and not self._running

    @contextmanager
    def testing(self, mask: Mask | None = None) -> Iterator[tuple[nn.Module, dict[str, Any]]]:
        """The network in evaluation mode, and its normalisations by name, with running statistics or none.

        mask: the sub-network as its steps see it, with their scaling; None: the full width.
        """
        plan, _ = self._enter(mask)
        self._scale(plan)
        self._module.eval()
        try:
            yield self._module, self._norms
        finally:
            self._module.train()
            self._forget_statistics()

    def _forget_statistics(self) -> None:
        if self._running:
            return
        for norm in self._norms.values():
            norm._buffers.update(running_mean=None, running_var=None, num_batches_tracked=None)
            norm.track_running_stats = False

    def _enter(self, mask: Mask | None, with_momenta: bool = False) -> tuple[Plan, list[np.ndarray]]:
        """Puts the mask's parameters into the module; returns the plan and where they came from.

        Steps with one mask after the other work on what the first of them gathered.
        """
        if mask is None or mask.is_full:
            self._put_back()
            self._held = None
            plan = self._plans.get(self._full)
            self._bind(plan)
            return plan, []
        plan = self._plans.get(mask.counts(self.structure))
        self._bind(plan)
        assert plan.cut is not None
        if self._held is None or not mask.keeps_what(self._held):
            self._put_back()
            self._rows_held = self._rows.rows(plan.cut, mask.kept)
            self._memory.gather(self._rows_held)
            self._held, self._momenta_held = mask, False
        if with_momenta and self._momenta is not None and not self._momenta_held:
            self._momenta.gather(self._rows_held)
            self._momenta_held = True
        return plan, self._rows_held

    def _put_back(self) -> None:
        """Writes what steps have changed in the scratch memory to where it was read from."""
        if self._changed:
            self._memory.scatter(self._rows_held)
            if self._momenta is not None:
                self._momenta.scatter(self._rows_held)
            self._changed = False

    def _backward(
        self,
        plan: Plan,
        x: Tensor,
        y: Tensor,
        loss_fn: Loss,
        trained: Collection[str] | None = None,
        run: Run | None = None,
    ) -> tuple[Tensor, list[Tensor | None]]:
        leaves = self._scale(plan)
        try:
            with torch.autocast(x.device.type, torch.bfloat16) if self._mixed else nullcontext():
                outputs = self._module(x) if run is None else run(self._module, x)
        except (RuntimeError, IndexError) as error:
            if plan.cut is None or "allocate" in str(error):
                raise
            raise ThinningError(
                f"the network fails at a smaller width: {error}; it took another path than when its channels"
                " were followed, by chance or by the values or number of its inputs, and cannot be thinned"
            ) from error
        if self._mixed:
            outputs = _widened(outputs, self.dtype)
        loss = loss_fn(outputs, y)
        grads: list[Tensor | None] = [None] * len(leaves)
        wanted = [i for i, name in enumerate(self.names) if trained is None or name in trained]
        found = torch.autograd.grad(loss, [leaves[i] for i in wanted], allow_unused=True)
        for index, gradient in zip(wanted, found, strict=True):
            grads[index] = gradient
        for index, factor, _ in plan.scales:
            grad = grads[index]
            if grad is not None:
                grads[index] = grad * factor
        return loss, grads

    def _scale(self, plan: Plan) -> list[Tensor]:
        """The leaves that the module reads; scaled ones are written into it, anew for each step."""
        if not plan.scales:
            return plan.leaves
        leaves = list(plan.leaves)
        for index, factor, slots in plan.scales:
            leaves[index] = (plan.leaves[index].detach() * factor).requires_grad_()
            for tensors, key in slots:
                tensors[key] = leaves[index]
        return leaves

    @torch.no_grad()
    def _update(self, plan: Plan, grads: list[Tensor | None], lr: float, proximal: float = 0.0) -> None:
        """The update of torch.optim.SGD, on the plan's tensors."""
        leaves, momenta = plan.leaves, plan.momenta
        anchors = self._anchors if proximal else []
        if any(g is None for g in grads):
            used = [i for i, g in enumerate(grads) if g is not None]
            leaves = [leaves[i] for i in used]
            momenta = [momenta[i] for i in used] if momenta else []
            anchors = [anchors[i] for i in used] if anchors else []
        deltas = [g for g in grads if g is not None]
        if proximal:
            away = torch._foreach_sub(leaves, anchors)
            deltas = list(torch._foreach_add(deltas, away, alpha=proximal))
        if self.weight_decay:
            deltas = list(torch._foreach_add(deltas, leaves, alpha=self.weight_decay))
        if self.momentum:
            torch._foreach_mul_(momenta, self.momentum)
            torch._foreach_add_(momenta, deltas)
            deltas = momenta
        if lr:  # adding 0 * gradient could still turn -0.0 into 0.0
            torch._foreach_add_(leaves, deltas, alpha=-lr)

    def _bind(self, plan: Plan) -> None:
        if plan is self._bound:
            return
        for tensors, key, tensor in plan.slots:
            tensors[key] = tensor
        for module, attribute, value in plan.attributes:
            setattr(module, attribute, value)
        self._bound = plan


def _widened(outputs: Any, dtype: torch.dtype) -> Any:
    """Outputs of lower precision, alone or in lists and tuples, as they are needed for a loss."""
    if isinstance(outputs, Tensor):
        return outputs.to(dtype) if outputs.is_floating_point() else outputs
    if type(outputs) in (list, tuple):
        return type(outputs)(_widened(part, dtype) for part in outputs)
    return outputs


def _clipped(grads: Sequence[Tensor | None], max_norm: float) -> list[Tensor | None]:
    norm = torch.nn.utils.get_total_norm([g for g in grads if g is not None])
    factor = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    return [None if g is None else g * factor for g in grads]


def _as_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array) if not array.flags.writeable else array)
