"""Reading YAML with the C library."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from distreal_sim.base.plain_yaml import load_yaml

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_values_are_those_of_pyyaml() -> None:
    """Of every config of the repository, and of the words of YAML 1.1 and 1.2."""
    texts = [path.read_text() for path in sorted(CONFIGS.rglob("*.yaml"))]
    assert len(texts) > 10
    words = "a: [010, 1:30, 1e-3, 1.0e-3, .inf, no, ~, '', 2026-01-01, é, 0x1f, 1_000, '010']"
    for text in (*texts, words):
        assert load_yaml(text) == yaml.safe_load(text)
    assert math.isnan(load_yaml(".nan"))


def test_an_error_is_one_of_pyyaml() -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml("a: [1")
