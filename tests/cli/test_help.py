"""What --help says."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from distreal_sim.cli import app


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("run", ["runs/NAME-METHOD-SEED-CHANGES", "number of cores", "equal shares"]),
        ("search", ["runs/search-NAME-SEED", "number of cores"]),
        ("sweep", ["runs/sweep-NAME", "number of cores"]),
        ("plot", ["accuracy.png or front.png"]),
        ("table", ["the sweep's"]),
    ],
)
def test_it_names_defaults_that_depend_on_something(command: str, defaults: list[str]) -> None:
    """They are no values, and as part of the text Rich would take their brackets for a style."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for default in defaults:
        assert f"[default: ({default})]" in shown
