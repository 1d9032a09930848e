"""What --help says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from toys import TOY
from typer.main import get_command
from typer.testing import CliRunner

from distreal_sim.base.errors import InputError
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


@pytest.mark.parametrize("command", [info.name or info.callback.__name__ for info in app.registered_commands])
def test_it_describes_every_argument_and_option(command: str) -> None:
    """Whatever typer and click make of the functions' annotations; paragraphs are filled again."""
    own = get_command(app).commands[command]
    assert not [param.name for param in own.params if not param.help]
    assert not re.search(r"[^\n]\n[^\n]", own.help)


def test_the_nearest_command_is_named_once() -> None:
    shown = CliRunner().invoke(app, ["rnu"])
    assert shown.exit_code == 2
    assert shown.output.count("Did you mean 'run'?") == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["measure", "c.yaml", "--out", "file/cost.json"],
            "--out file/cost.json cannot be written: file is no",
        ),
        (["calibrate", "--out", "."], "--out . is a directory"),
        (["calibrate", "--csv", "no/steps.csv"], "--csv no/steps.csv cannot be written: no is no directory"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_where_nothing_can_be_written_nothing_is_measured(
    command: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("c.yaml").write_text(yaml.safe_dump(TOY))
    monkeypatch.setattr("distreal_sim.inspection.timing.measured", None)
    monkeypatch.setattr("distreal_sim.inspection.calibration.calibrate", None)
    with pytest.raises(InputError, match=re.escape(message)):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_shell_can_complete_commands() -> None:
    """bash asks by these variables what may follow `distreal-sim de`; only `demo` begins so."""
    asked = {"_DISTREAL_SIM_COMPLETE": "complete_bash", "COMP_WORDS": "distreal-sim de", "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], prog_name="distreal-sim", env=asked)
    assert done.stdout.split() == ["demo"]
