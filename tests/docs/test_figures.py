"""Each bundled profile is described with its picture, drawn with the options that the page gives."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

from distreal_sim.base.plugins import load, names
from distreal_sim.devices.profiles import Profile

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "profiles.md").read_text()
TOOL = runpy.run_path(str(ROOT / "docs" / "tools" / "figures.py"))


@pytest.mark.parametrize("name", names(Profile))
def test_a_profile(name: str) -> None:
    section = PAGE.split(f"## `{name}`\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    options = yaml.safe_load(block)["profile"]
    assert options == {"name": name, **yaml.safe_load("{" + TOOL["OPTIONS"][name] + "}")}
    assert load(Profile, options.pop("name"))(**options)
    assert (ROOT / "docs" / "figures" / f"profile_{name}.png").exists()
    assert f"../figures/profile_{name}.png" in section


def test_the_round_that_is_drawn() -> None:
    """It keeps at least three vectors for a second each, and ends before the deadline of 10 s."""
    experiment, task, client, plan = TOOL["chosen_round"]()
    assert TOOL["to_see"](plan)[0] >= 3
    assert plan.status == "completed"
    assert plan.compute_end_s <= task.deadline_s == experiment.deadline_s == 10
    assert [step.n_examples for step in plan.steps] == client.batch_sizes
