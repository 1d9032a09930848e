"""docs/how-to/sweep.md: the config that it explains, and the commands that it gives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from typer.main import get_command

from distreal_sim.cli import app
from distreal_sim.sweep.cells import load_cells
from distreal_sim.sweep.settings import Sweep

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "how-to" / "sweep.md").read_text()


def test_the_config_loads_and_names_every_key(tmp_path: Path) -> None:
    """2 methods x 3 x 2 x 2 settings x 3 seeds."""
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "own.yaml").write_text(block[1])
    shutil.copy(ROOT / "configs" / "digits.yaml", tmp_path)
    sweep, cells, _ = load_cells(tmp_path / "sweeps" / "own.yaml")
    assert sweep.model_fields_set == set(Sweep.model_fields)
    assert len(cells) == 72


def test_the_commands_exist() -> None:
    """Their names and options, and the files that they read from the repository."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^    distreal-sim (\w+) (.*)$", TEXT, re.MULTILINE)
    assert [name for name, _ in lines] == ["sweep", "table", "plot", "plot", *["table"] * 3]
    for name, rest in lines:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
        assert all((ROOT / path).exists() for path in re.findall(r"configs/\S+", rest))
