"""Modules that can be called: `distreal_sim.run` is a module, and `distreal_sim.run(...)` runs an experiment.

Importing a submodule sets an attribute of its package, so that a function of the same name would be hidden
by the module, or the module by the function, whichever came last. Here they are one object.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """Calls the function that `make_callable` named, which is imported by then."""

    _home: str

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._function(*args, **options)

    @property
    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(
            importlib.import_module(self._home), self.__name__.rpartition(".")[2]
        )
        return function

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """The function's, for `help(distreal_sim.run)`."""
        return self._function.__doc__

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function)


def make_callable(name: str, home: str) -> None:
    """Makes the module of this name callable as the function of its own last name that stands in `home`."""
    module = sys.modules[name]
    module.__class__ = CallableModule
    module._home = home  # type: ignore[attr-defined]
