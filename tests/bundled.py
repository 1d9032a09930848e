"""Bundled plug-ins with settings that their own fields give, and inputs that the networks take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import Plugin, load
from distreal_sim.models import Model

P = TypeVar("P", bound=Plugin)

ROOT = Path(__file__).parents[1]


def example(kind: type[Plugin], name: str) -> dict[str, Any]:
    """The required options of a bundled plug-in, each with the first of its field's examples."""
    options = {}
    for key, field in load(kind, name).model_fields.items():
        if field.is_required():
            assert field.examples, f"{kind.label} {name}: give the required option {key} an example"
            options[key] = field.examples[0]
            if isinstance(options[key], str) and (ROOT / options[key]).is_file():
                options[key] = str(ROOT / options[key])
    return options


def plugin(kind: type[P], name: str, options: dict[str, Any]) -> P:
    return load(kind, name).model_validate(options)


@dataclass(frozen=True)
class Inputs:
    """A kind of inputs: shape of an example, the number of tokens if they are tokens, and how it is named."""

    kind: str
    shape: tuple[int, ...]
    vocabulary: int | None = None

    def build(self, model: Model, n_outputs: int) -> nn.Module:
        """The network for these inputs."""
        return model.build(self.shape, n_outputs, self.vocabulary)

    def examples(self, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """n examples, the same ones every time."""
        rng = torch.Generator().manual_seed(0)
        if self.vocabulary is not None:
            return torch.randint(self.vocabulary, (n, *self.shape), generator=rng)
        return torch.randn(n, *self.shape, generator=rng, dtype=dtype)


IMAGES, SERIES = Inputs("images", (2, 32, 40)), Inputs("series", (3, 11))
ROWS, TEXTS = Inputs("rows", (6,)), Inputs("texts", (9,), 13)
"""Shapes that no network was made for; the images are not square."""

EVERY = (IMAGES, SERIES, ROWS, TEXTS)


def options_for(name: str) -> dict[str, Any]:
    """Options with which a bundled network gives one score a class, (n, n_outputs)."""
    return {"predict": "last"} if "predict" in load(Model, name).model_fields else {}


def all_inputs_of(name: str) -> list[Inputs]:
    """The kinds of inputs that a bundled network takes."""
    found = []
    for inputs in EVERY:
        try:
            with torch.device("meta"):
                inputs.build(load(Model, name).model_validate(options_for(name)), 2)
        except InputError:
            continue
        found.append(inputs)
    assert found, f"model {name} takes none of {EVERY}"
    return found


def inputs_of(name: str) -> Inputs:
    """The first kind of inputs that a bundled network takes."""
    return all_inputs_of(name)[0]
