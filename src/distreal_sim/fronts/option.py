"""The option that says which front a method's clients look their dropout vectors up in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from torch import nn

from distreal_sim.base.values import ConfigModel, ConfigPath
from distreal_sim.fronts import bundled as fronts
from distreal_sim.fronts.file import load_front
from distreal_sim.fronts.front import UNIFORM, Front, fingerprint, make_front, uniform_rates
from distreal_sim.thinning.structure import Structure


class UniformFront(ConfigModel):
    """A front of vectors with one rate for all layers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uniform: int = Field(ge=1, description="number of rates: 0, 1/n, ..., (n-1)/n")


DEFAULT = UniformFront(uniform=16)
"""The front where none is bundled."""

Named = Annotated[
    Annotated[UniformFront, Tag("UniformFront")] | Annotated[fronts.BundledFront, Tag("BundledFront")],
    Discriminator(lambda front: "BundledFront" if "bundled" in _keys(front) else "UniformFront"),
]
"""A front that is given by keys and values."""

DropLinear = Annotated[
    Literal["auto"] | bool,
    Field(description="hidden linear layers are thinned too; auto: only where no convolution can be thinned"),
]

FrontOption = Annotated[
    Literal["auto"] | Named | ConfigPath,
    AfterValidator(fronts.available),
    Field(
        description="auto: the bundled front of this model, data set and way of thinning, or {uniform: 16}; "
        "{uniform: n}; {bundled: name}; or the path of a front file"
    ),
]


def _keys(front: Any) -> Collection[str]:
    """The keys of a front in a config, or of one that was read from it."""
    if isinstance(front, BaseModel):
        return type(front).model_fields
    return front if isinstance(front, Mapping) else ()


def settled_front(
    front: FrontOption, model: Mapping[str, Any], dataset: Mapping[str, Any], method: Mapping[str, Any]
) -> FrontOption:
    """The option with `auto` and bundled names pinned; arguments as those of `fronts.find`."""
    if front == "auto":
        name = fronts.find(model, dataset, method)
        return fronts.pinned(name) if name else DEFAULT
    if isinstance(front, fronts.BundledFront) and front.content is None:
        return fronts.pinned(front.bundled)
    return front


def front_of(option: FrontOption, drop_linear: DropLinear, module: nn.Module, structure: Structure) -> Front:
    """The front of a network. Raises InputError for a file that is none or was made for another network."""
    groups = structure.thinnable(drop_linear)
    model = fingerprint(module)
    front = DEFAULT if option == "auto" else option
    if isinstance(front, UniformFront):
        rates = uniform_rates(front.uniform, len(groups))
        made = {"how": UNIFORM, "entries": front.uniform, "score": "relative MACs"}
        return make_front(structure, groups, rates, None, model=model, made=made)
    if isinstance(front, fronts.BundledFront):
        found = load_front(fronts.path_of(front.bundled), structure, groups, model)
        return fronts.annotated(found, front.bundled)
    return load_front(front, structure, groups, model)
