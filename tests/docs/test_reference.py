"""docs/reference/api.md and cli.md are what the docstrings and help texts say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import distreal_sim as ds
from distreal_sim.cli import app

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
spec = importlib.util.spec_from_file_location("make_reference", FOLDER.parent / "tools" / "reference.py")
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize("page", ["api.md", "cli.md", "devices.md"])
def test_a_page_is_not_stale(page: str) -> None:
    assert (FOLDER / page).read_text() == make.PAGES[page](), "run: python docs/tools/reference.py"


def test_every_name_and_command_has_its_heading() -> None:
    api, cli = ((FOLDER / page).read_text() for page in ("api.md", "cli.md"))
    assert {line[4:] for line in api.splitlines() if line.startswith("### ")} == set(ds.__all__)
    commands = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    assert {line[3:] for line in cli.splitlines() if line.startswith("## ")} == commands
