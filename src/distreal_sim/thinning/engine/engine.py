"""Runs plain and thinned training steps of an unmodified network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.engine.memory import Memory, RowIndex
from distreal_sim.thinning.engine.optimizer import Optimizer, OptimizerRule
from distreal_sim.thinning.engine.passes import Loss, Objective, Run
from distreal_sim.thinning.engine.plans import Plans, Scaling
from distreal_sim.thinning.engine.scratch import Scratch
from distreal_sim.thinning.engine.sums import Sums
from distreal_sim.thinning.engine.update import Rule, Sgd
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.snapshot import Snapshot
from distreal_sim.thinning.structure import Precision, Structure, ThinningError

__all__ = ["Engine", "Loss", "Run", "Scaling"]


class Engine:
    """Runs plain and thinned training steps of an unmodified network, on a private copy of it.

    The resident tensors are full-width. A thinned step gathers the kept channels of its mask and runs forward
    and backward on small dense kernels; the result is written back when another mask follows. Weights of
    dropped channels, and the states that the rule keeps for them (momentum), do not change. Batch norm uses
    the batch's statistics, or its initial statistics where the network keeps it in evaluation mode. The
    network's own dropout draws from torch's default generator.

    names: the trainable parameters in the network's order. draws: whether a step on the engine's own loss may
    draw from a global generator. momentum, weight_decay: of SGD; optimizer: another rule instead. clip_norm:
    a longer gradient of a step, all trained parameters as one vector, is scaled down to it, as by torch's
    clip_grad_norm_. scaling: `inverted` multiplies the inputs that layers read from a thinned group by
    channels / kept. running: every step updates running statistics of the kept channels as torch does;
    otherwise none are kept. `load` and `export` cover `names`, followed by the running statistics. loss_fn:
    (outputs, y) -> scalar, for steps that are given none. precision: with bfloat16, PyTorch's autocast
    chooses the bfloat16 operations of a training forward pass; large linear layers that are updated in the
    backward pass (`linear.py`), chains of linear layers (`chain.py`), the loss, the parameters, and passes
    without a graph stay in full precision.
    """

    def __init__(
        self,
        module: nn.Module,
        structure: Structure,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        optimizer: Optimizer | None = None,
        clip_norm: float | None = None,
        scaling: Scaling = "none",
        precision: Precision = "float32",
        running: bool = False,
        loss_fn: Loss = F.cross_entropy,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.structure = structure
        self._rule: Rule = Sgd(momentum, weight_decay) if optimizer is None else OptimizerRule(optimizer)
        self._module = _converted(copy.deepcopy(module).to(device=device), dtype).train()
        self.dtype = dtype
        self._norms = {
            name: part
            for name, part in self._module.named_modules()
            # A norm that stays in evaluation mode (frozen) keeps its statistics as constants.
            if isinstance(part, _NormBase) and part.running_mean is not None and part.training
        }
        self._running, self._loss_fn, self._objective = running, loss_fn, Objective(loss_fn)
        self._forget_statistics()
        self.names = tuple(n for n, p in self._module.named_parameters() if p.requires_grad)
        kept = [f"{name}.running_{key}" for name in self._norms for key in ("mean", "var")] if running else []
        self._carried = (*self.names, *kept)
        values = {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}
        layouts = {n: structure.tensors[n] for n in values if n in structure.tensors}
        read_only = [n for n, v in values.items() if not v.is_floating_point() and layouts[n].cut_groups]
        if read_only:
            raise ThinningError(f"buffer '{read_only[0]}' has channels but is not of a floating-point type")
        layouts = {n: layout for n, layout in layouts.items() if values[n].is_floating_point()}
        rows = RowIndex(layouts)
        self._new_memory = partial(Memory, layouts, rows.arenas, device, dtype)
        self._memory = self._new_memory()
        self._states = [self._new_memory() for _ in self._rule.states]
        for name, full in self._memory.full.items():
            full.copy_(values[name].detach())
        memories = self._memory, self._states
        fast = optimizer is None and clip_norm is None
        plans = Plans(
            self._module, structure, self.names, *memories, rows, scaling, precision, clip_norm, fast
        )
        self._n_steps = [] if optimizer is None else plans.n_steps  # SGD counts none
        self.draws = plans.draws or loss_fn is not F.cross_entropy
        self._scratch = Scratch(structure, plans, rows, *memories)
        self._sums: Sums | None = None
        self._anchors: list[Tensor] | None = None
        self._moved = False
        self._scratch.enter(None)
        self._initial = Snapshot(self._module, but=self._carried)

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copies in parameters and running statistics, by name and at full width, and forgets the states.

        All other buffers and attributes of the network are reset to their initial values. Raises InputError
        for a missing name or a wrong shape.
        """
        self._scratch.enter(None)
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
                if (
                    norm.num_batches_tracked is not None
                ):  # a cumulative average covers this job's batches only
                    norm.num_batches_tracked.zero_()
        for state in self._states:
            state.clear()
        for n_steps in self._n_steps:
            n_steps.zero_()
        if self._sums is not None:
            self._sums.clear()
        self._anchors, self._moved = None, False

    def export(
        self, names: Collection[str] | None = None, empty: Callable[..., np.ndarray] = np.empty
    ) -> dict[str, np.ndarray]:
        """Copies of parameters and running statistics, by name and at full width; names: only these.

        empty(shape, dtype): allocates the arrays.
        """
        self._scratch.put_back()
        copies: dict[str, np.ndarray] = {}
        for name in self._carried:
            if names is None or name in names:
                full = self._memory.full[name].detach().cpu().numpy()
                copies[name] = empty(full.shape, full.dtype)
                np.copyto(copies[name], full)
        return copies

    def step(
        self,
        x: Tensor,
        y: Tensor,
        mask: Mask | None,
        lr: float,
        loss_fn: Loss | None = None,
        *,
        trained: Collection[str] | None = None,
        proximal: float = 0.0,
        run: Run | None = None,
    ) -> float:
        """One step on examples x, labels y; returns the loss.

        mask: the kept channels; None: a plain step of the full network, which for SGD is equal to
        torch.optim.SGD bit for bit except for large linear layers and chains of linear layers, which add the
        same terms in another order and are as close to the float64 step as torch's. loss_fn: the engine's if
        not given. trained: names of the parameters that it changes, None: all; no gradient is computed for
        the others, and their states do not change. proximal: mu of the term mu / 2 * |w - w_0|^2, where w_0
        are the loaded parameters; for plain steps only, and from the first step on. run: computes the
        outputs; the network's own forward pass if not given.
        """
        assert not proximal or mask is None
        plan = self._scratch.enter(mask, to_change=True)
        anchors = self._loaded() if proximal else []
        self._moved = True
        plain = loss_fn is None and trained is None and run is None
        objective = self._objective if plain else Objective(loss_fn or self._loss_fn, trained, run)
        return plan.steps.step(x, y, objective, self._rule.at(lr, proximal), anchors)

    def gradients(
        self, x: Tensor, y: Tensor, mask: Mask | None, loss_fn: Loss | None = None
    ) -> tuple[float, dict[str, Tensor]]:
        """The loss and its gradient for every parameter in `names`, at the mask's width; changes nothing.

        A parameter that the loss does not depend on has no entry.
        """
        plan = self._scratch.enter(mask)
        before = Snapshot(self._module)
        loss, grads = plan.autograd.gradients(x, y, Objective(loss_fn or self._loss_fn))
        before.restore()
        return loss.item(), {n: g for n, g in zip(self.names, grads, strict=True) if g is not None}

    def accumulate(self, x: Tensor, y: Tensor, mask: Mask | None, loss_fn: Loss | None = None) -> float:
        """Adds a loss's gradient at the mask's width to the sum for the next `apply`; returns the loss.

        Changes no parameter and no state. Losses may come from sub-networks with different masks.
        """
        plan = self._scratch.enter(mask)
        loss, grads = plan.autograd.gradients(x, y, Objective(loss_fn or self._loss_fn))
        if self._sums is None:
            self._sums = Sums(self._new_memory(), self.names)
        self._sums.add(grads, plan.cut, self._scratch.rows)
        return loss.item()

    def apply(self, mask: Mask | None, lr: float) -> None:
        """One step of the mask's channels along the sum of gradients since the last `apply`.

        The mask must keep every channel that the masks of the gradients kept. The gradient is 0 for a pair of
        channels that none of these masks kept together, but momentum, other states and weight decay still act
        there.
        """
        assert self._sums is not None
        plan = self._scratch.enter(mask, to_change=True)
        self._moved = True
        plan.autograd.update(self._sums.read(plan.cut, self._scratch.rows), self._rule.at(lr), [])
        self._sums.clear()

    def forward(self, x: Tensor, mask: Mask | None = None) -> Tensor:
        """Outputs in training mode, without a graph."""
        plan = self._scratch.enter(mask)
        with torch.no_grad():
            plan.parameters.scaled()
            outputs: Tensor = self._module(x)
        return outputs

    @property
    def is_finite(self) -> bool:
        """Whether all parameters are finite; a sum beyond the range of their type counts as infinite."""
        self._scratch.put_back()
        full = self._memory.full
        return all(math.isfinite(full[name].detach().sum().item()) for name in self.names)

    @property
    def has_statistics(self) -> bool:
        """Whether the network has batch norm whose statistics must be estimated before a test."""
        return bool(self._norms) and not self._running

    @contextmanager
    def testing(self, mask: Mask | None = None) -> Iterator[tuple[nn.Module, dict[str, Any]]]:
        """The network in evaluation mode, and its normalisations by name, with or without running statistics.

        mask: the sub-network, with the scaling of its steps; None: the full width.
        """
        plan = self._scratch.enter(mask)
        plan.parameters.scaled()
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

    def _loaded(self) -> list[Tensor]:
        """The parameters as they were loaded, copied before the first step changes them."""
        if self._anchors is None:
            if self._moved:
                raise InputError(
                    "a proximal term must be there from the first step after loading on: steps without it "
                    "have changed the parameters that it pulls towards"
                )
            self._anchors = [self._memory.full[name].detach().clone() for name in self.names]
        return self._anchors


def _converted(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The module at this precision; complex buffers stay complex, where `module.to(dtype)` drops half."""
    of_complex = torch.complex128 if dtype == torch.float64 else torch.complex64

    def convert(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(of_complex)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    module._apply(convert)  # type: ignore[no-untyped-call]
    return module


def _as_tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array) if not array.flags.writeable else array)
