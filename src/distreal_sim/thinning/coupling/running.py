"""Which module's forward is running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from distreal_sim.thinning.coupling.operations import generators, place_of
from distreal_sim.thinning.structure import ThinningError


def parameters_around(module: nn.Module, name: str) -> frozenset[str]:
    """The parameters of the part `name` of a module or, if it has none, of the smallest one around it."""
    while True:
        part = module.get_submodule(name)
        found = frozenset(f"{name}.{key}" if name else key for key, _ in part.named_parameters())
        if found or not name:
            return found
        name = name.rpartition(".")[0]


class Running:
    """The modules whose forward is running, the innermost last; `follow` keeps it true."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._stack: list[tuple[str, nn.Module]] = [("", module)]

    @property
    def current(self) -> tuple[str, nn.Module]:
        """(qualified name, module) of the innermost one."""
        return self._stack[-1]

    @property
    def where(self) -> str:
        """The innermost one, for messages."""
        return place_of(*self.current)

    def parameters(self) -> frozenset[str]:
        """The parameters of the smallest module around the current operation that has any."""
        for name, part in reversed(self._stack):
            prefix = f"{name}." if name else ""
            found = frozenset(prefix + key for key, _ in part.named_parameters())
            if found:
                return found
        return frozenset()

    @contextmanager
    def follow(self, watch_generators: bool) -> Iterator[None]:
        """Keeps track of the module that runs inside the block.

        watch_generators: raises ThinningError for a module that draws from the global generators of Python or
        numpy; takes longer than a small layer.
        """
        hooks = []
        self._stack = [("", self._module)]
        before = generators() if watch_generators else None
        for name, part in self._module.named_modules():
            if isinstance(part, torch.jit.ScriptModule):
                continue  # takes no such hooks
            hooks.append(part.register_forward_pre_hook(self._enter(name, before)))
            hooks.append(part.register_forward_hook(self._leave(before), always_call=False))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str, before: Any) -> Callable[[nn.Module, Any], None]:
        def enter(part: nn.Module, args: Any) -> None:
            self._refuse_other_generators(before)
            self._stack.append((name, part))

        return enter

    def _leave(self, before: Any) -> Callable[[nn.Module, Any, Any], None]:
        def leave(part: nn.Module, args: Any, output: Any) -> None:
            self._refuse_other_generators(before)
            self._stack.pop()

        return leave

    def _refuse_other_generators(self, before: Any) -> None:
        if before is None:
            return
        for library, then, now in zip(("random", "numpy.random"), before, generators(), strict=True):
            if then != now:
                raise ThinningError(
                    f"{self.where} cannot be simulated: its forward pass draws from the global generator of "
                    f"{library}, whose draws could take it on another path unseen; draw from torch's instead "
                    "(for example torch.rand(()))"
                )
