"""A class whose objects change one image, as an augmentation; its constructor says which options it has."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
from pydantic import BaseModel, create_model
from torch import Tensor

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs


@cache
def transform_class(base: type[Any], target: type[Any]) -> type[Any]:
    """A subclass of `base` (Augmentation) that calls an object of `target` for each image (C, H, W).

    The object gets values in [0, 1], draws from torch's, Python's and numpy's global generators, which are
    seeded for each mini-batch, and returns an image of the same shape.
    """

    def apply(self: Any, x: Tensor, rngs: Rngs) -> Tensor:
        options = {key: value for key, value in self if value is not None}
        try:
            transform = target(**options)
        except Exception as error:  # whatever a user's constructor raises is a mistake in the input
            given = ", ".join(f"{key}={value!r}" for key, value in options.items())
            raise InputError(
                f"augmentation {self.name}({given}) cannot be made: {type(error).__name__}: {error}"
            ) from error
        with rngs.seeded_globals("augmentation"):
            return torch.stack([transform(image) for image in x])

    made = create_model(target.__name__, __base__=base, __module__=target.__module__, **_options(target))
    made.__qualname__ = target.__qualname__
    for name, value in {"in_unit_range": True, "apply": apply}.items():
        setattr(made, name, value)
    made.__abstractmethods__ = frozenset()
    return made


def _options(target: type[Any]) -> dict[str, Any]:
    """pydantic fields for the constructor's parameters; None leaves an optional one to the constructor."""
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name.startswith("_") or hasattr(BaseModel, name):
            raise InputError(
                f"augmentation {target.__module__}.{target.__qualname__}: a constructor parameter cannot be "
                f"called '{name}' here; write a subclass of distreal_sim.recipe.augmentations.Augmentation"
            )
        fields[name] = (Any, ... if parameter.default is parameter.empty else None)
    return fields
