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
        ("demo", ["number of cores"]),
        ("plot", ["KIND.png"]),
        ("table", ["the sweep's"]),
    ],
)
def test_it_names_defaults_that_depend_on_something(command: str, defaults: list[str]) -> None:
    """They are no values, and as part of the text Rich would take their brackets for a style."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    for default in defaults:
        assert f"[default: ({default})]" in shown


def test_a_shell_can_complete_commands() -> None:
    """bash asks by these variables what may follow `distreal-sim de`; only `demo` begins so."""
    asked = {"_DISTREAL_SIM_COMPLETE": "complete_bash", "COMP_WORDS": "distreal-sim de", "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], prog_name="distreal-sim", env=asked)
    assert done.stdout.split() == ["demo"]
