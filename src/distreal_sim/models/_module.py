"""Any torch.nn.Module as a model: its constructor's parameters become the options."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import create_model
from torch import nn
from torch.nn.parameter import UninitializedParameter

from distreal_sim.base.errors import InputError

FROM_DATA = ("shape", "in_channels", "n_outputs", "n_classes", "num_classes", "vocabulary")
"""Constructor parameters that the data decide, where the config does not set them."""

RESERVED = (
    "name",
    "build",
    "adapt",
    "package",
    "label",
    "copy",
    "json",
    "dict",
)
"""Constructor parameters that would hide attributes of a plug-in."""


def options_of(module: type[nn.Module]) -> dict[str, Any]:
    """pydantic fields for the constructor's parameters; *args and **kwargs cannot be set from a config.

    Options are handed over as YAML has them: an annotation is the module's own affair.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(module).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name.startswith("_") or name in RESERVED:
            raise InputError(
                f"model {module.__module__}.{module.__qualname__}: a constructor parameter cannot be called "
                f"'{name}' here; rename it, or write a subclass of distreal_sim.models.Model"
            )
        if name in FROM_DATA:
            fields[name] = (Any, None)
        else:
            fields[name] = (Any, ... if parameter.default is parameter.empty else parameter.default)
    return fields


def construct(
    module: type[nn.Module],
    options: dict[str, Any],
    shape: tuple[int, ...],
    n_outputs: int,
    vocabulary: int | None,
) -> nn.Module:
    """The module with its options and those that the data decide.

    Raises InputError when the constructor refuses its options, or leaves lazy layers without their sizes.
    """
    outputs = dict.fromkeys(("n_outputs", "n_classes", "num_classes"), n_outputs)
    known = {"shape": shape, "in_channels": shape[0], "vocabulary": vocabulary, **outputs}
    filled = {k: known[k] if k in known and v is None else v for k, v in options.items()}
    try:
        made = module(**filled)
    except Exception as error:  # whatever a user's constructor raises is a mistake in the input
        given = ", ".join(f"{k}={v!r}" for k, v in filled.items())
        raise InputError(
            f"model {module.__module__}.{module.__qualname__}({given}) cannot be built: "
            f"{type(error).__name__}: {error}"
        ) from error
    for name, part in made.named_modules():
        if any(isinstance(p, UninitializedParameter) for p in part.parameters(recurse=False)):
            raise InputError(
                f"model {module.__module__}.{module.__qualname__}: layer '{name}' ({type(part).__name__}) "
                "has no sizes yet; give it its sizes, or run the network on an example in its constructor"
            )
    return made


def model_class(base: type[Any], module: type[nn.Module]) -> type[Any]:
    """A subclass of `base` (Model) that builds `module`, named and placed like it."""

    def build(self: Any, shape: tuple[int, ...], n_outputs: int, vocabulary: int | None = None) -> nn.Module:
        options = {key: getattr(self, key) for key in type(self).model_fields}
        return construct(module, options, shape, n_outputs, vocabulary)

    made = create_model(module.__name__, __base__=base, __module__=module.__module__, **options_of(module))
    made.__qualname__ = module.__qualname__
    setattr(made, "build", build)  # noqa: B010  (the class is made at run time)
    made.__abstractmethods__ = frozenset()
    return made
