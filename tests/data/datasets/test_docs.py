"""Every config in docs/reference/datasets.md is legal, and every plug-in is in its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from distreal_sim.base.plugins import load, names
from distreal_sim.data.datasets import Dataset
from distreal_sim.data.partitions import Partition

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "datasets.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
KINDS = {"dataset": Dataset, "partition": Partition}


@pytest.mark.parametrize("block", BLOCKS)
def test_config_is_legal(block):
    for key, options in yaml.safe_load(block).items():
        plugin = load(KINDS[key], options.pop("name"))(**options)
        assert set(options) <= set(plugin.model_dump(exclude_unset=True))


def test_every_plugin_is_described():
    described = set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)) - {"name"}
    assert described == {*names(Dataset), *names(Partition)}
