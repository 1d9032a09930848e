"""docs/reference/config.md is what its generator writes, and its examples are legal values."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from distreal_sim.base.plugins import load
from distreal_sim.config import KINDS, Experiment

ROOT = Path(__file__).parent.parent.parent
TOOL = runpy.run_path(str(ROOT / "docs" / "tools" / "config_keys.py"))
BLOCKS = list(TOOL["blocks"]())


def test_the_page_is_fresh() -> None:
    """If not: python docs/tools/config_keys.py."""
    assert TOOL["PAGE"].read_text(encoding="utf-8") == TOOL["page"]()


def test_every_key_of_the_experiment_is_there() -> None:
    """As a row of the first table, or as a block."""
    rows = {key.path for key in BLOCKS[0].keys}
    blocks = {block.key for block in BLOCKS[1:]}
    assert rows | {key for key in blocks if "." not in key} == set(Experiment.model_fields)
    assert set(KINDS) <= blocks


@pytest.mark.parametrize("kind", TOOL["FILES"])
def test_every_key_of_another_file_is_there(kind: str) -> None:
    model, _ = TOOL["FILES"][kind]
    assert re.findall(r"^\| `(\w+)` \|", TOOL["file_chapter"](kind), re.MULTILINE) == list(model.model_fields)


def model_of(block: Any) -> type[BaseModel] | None:
    """The class that reads a block; None for the strategies of Flower, which make theirs themselves."""
    if not block.key:
        return Experiment
    if block.key in KINDS and " " not in block.name:
        return load(KINDS[block.key], block.name)
    found: type[BaseModel] | None = Experiment
    for word in block.key.split("."):
        kind = found.model_fields[word].annotation if found is not None else None
        kinds = [kind, *get_args(kind)]  # a block may be left out
        found = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return found if block.name is None else None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.key}-{block.name}")
def test_examples_are_legal(block: Any) -> None:
    """Each example, as YAML reads it from the page, and no value of another type.

    Only the key itself is judged: other keys may be missing that it goes with.
    """
    model = model_of(block)
    if model is None:
        return
    for key in block.keys:
        name = key.path.rpartition(".")[2]
        (text,) = re.findall(rf"\| `{re.escape(key.path)}=([^`]+)` \|", key.row())
        example = yaml.safe_load(text)
        assert not faults(model, name, example), key.path
        assert faults(model, name, {"no": {"such": "value"}}) or "keys and values" in key.values, key.path


def faults(model: type[BaseModel], name: str, value: Any) -> list[Any]:
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return [e for e in error.errors() if e["loc"][:1] == (name,)]
    return []
