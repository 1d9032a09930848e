"""Bundled plug-ins with settings that their own fields give."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from distreal_sim.base.plugins import Plugin, load

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
