"""Watches a traced pass for what one pass cannot show: values that would change costs or parameters later."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from distreal_sim.thinning.coupling.operations import FILLS, graph_of, place_of, sizing, written_by
from distreal_sim.thinning.structure import ThinningError


class Guards:
    """Which tensors of a pass of `module` depend on its input, and which are as long as its values say."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._storages = {
            p.untyped_storage().data_ptr(): name for name, p in module.named_parameters() if p.numel()
        }
        self.forget()

    def forget(self) -> None:
        """Forgets the tensors of the last pass."""
        self._of_input: set[int] = set()
        self._sized_by_values: set[int] = set()

    def begin(self, example: Tensor) -> None:
        """Starts a pass on these examples."""
        self._of_input.add(id(example))

    def refuse(self, where: str, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises ThinningError for an operation of the module `where` that cannot be followed.

        That is a backward pass, and a write into a parameter, also if its values are in range this time.
        """
        if name in ("grad", "backward"):
            raise ThinningError(
                f"{where} cannot be simulated: it computes gradients in its forward pass "
                "(torch.autograd.grad, .backward()), whose cost is not counted"
            )
        written = written_by(func, name, args, kwargs)
        parameter = None if written is None else self._storages.get(_place(written))
        if parameter is not None:
            where, _, key = parameter.rpartition(".")
            raise ThinningError(
                f"{place_of(where, self._module.get_submodule(where))} cannot be simulated: its forward "
                f"pass changes its parameter '{key}', so that a client's result would depend on what ran "
                "before it; compute what the layer uses from the parameter instead"
            )

    def follow(
        self,
        where: str,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        operands: list[Tensor],
        results: list[Tensor],
        costs: bool,
    ) -> None:
        """Records an operation of the module `where`; costs: whether it has products.

        Raises ThinningError for products with tensors that are as long as values of the input say.
        """
        if any(id(a) in self._of_input for a in operands):
            self._of_input.update(map(id, results))
        follows = any(id(a) in self._sized_by_values for a in operands) and not FILLS.fullmatch(name)
        if follows and costs:
            raise ThinningError(
                f"{where} cannot be simulated: it works on as many rows as values of the input say (a "
                "boolean mask, nonzero), so that the cost of a step is not known before it; run it on all "
                "rows, and mask what it gives"
            )
        if follows or any(id(a) in self._of_input for a in sizing(name, args, kwargs)):
            self._sized_by_values.update(map(id, results))


def refuse_reentrant(outputs: list[Tensor]) -> None:
    """Raises ThinningError for a checkpoint that torch.autograd.grad, and so a step, cannot go through."""
    if any(type(node).__name__ == "CheckpointFunctionBackward" for node in graph_of(outputs)):
        raise ThinningError(
            "the network cannot be trained: it uses torch.utils.checkpoint with use_reentrant=True, which "
            "only works with .backward(); set use_reentrant=False"
        )


def _place(tensor: Tensor) -> int:
    """Where the tensor's values lie; 0 for tensors that hide it (sparse ones, those of torch.func)."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0
