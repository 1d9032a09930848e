"""The config of a sweep: a YAML of its own that names the experiment it varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from distreal_sim.base.errors import InputError
from distreal_sim.base.values import ConfigModel, ConfigPath, located
from distreal_sim.config import parse_yaml, read_config, refuse_other_kinds
from distreal_sim.config.explain import explain
from distreal_sim.config.override import override


class Sweep(ConfigModel):
    """Everything that determines a sweep, except the experiment that it varies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: ConfigPath = Field(description="the experiment config that is varied")
    overrides: dict[str, Any] = Field({}, description="keys that all cells change, as KEY: VALUE")
    grid: dict[str, list[Any] | dict[str, dict[str, Any]]] = Field(
        {}, description="axes: a key and its values, or a name and its variants, each with the keys it sets"
    )
    zip: list[dict[str, list[Any]]] = Field(
        [], description="axes of several keys each, whose lists are gone through together"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, description="every cell's seeds")
    compare: tuple[str, ...] | None = Field(
        None, description="axes that are compared with each other; found where not given"
    )
    baseline: str | None = Field(None, description="label that the table compares the others with")
    targets: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(
        (),
        description="values of the first score, such as accuracies, whose times go into the tables",
    )


def load_sweep(config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Sweep:
    """The sweep of a file, or of what one would hold.

    overrides: KEY=VALUE; a key that is not a sweep's is the experiment's, and joins the file's `overrides`.
    Raises InputError naming the file, the key, the value, what is allowed and the nearest valid name.
    """
    raw, source, folder = read_config(config)
    refuse_other_kinds(raw, source, "sweep")
    own = [text for text in overrides if text.partition("=")[0].split(".")[0] in Sweep.model_fields]
    for text in own:
        override(raw, text, {}, Path.cwd())
    source = f"{source} with {' '.join(own)}" if own else source
    try:
        sweep = Sweep.model_validate(raw, context={"base_dir": folder})
    except ValidationError as error:
        raise InputError(explain(error, source, "", Sweep)) from None
    changes = dict(sweep.overrides)
    for text in overrides:
        if text not in own:
            override({}, text, {})  # refuses what does not look like KEY=VALUE
            key, _, value = text.partition("=")
            changes.pop(key, None)
            changes[key] = located(parse_yaml(value), Path.cwd())
    if "seed" in {*changes, *sweep.grid}:
        raise InputError(f"{source}: seed: a sweep lists its seeds, for example seeds: [1, 2, 3]")
    return sweep.model_copy(update={"overrides": changes})
