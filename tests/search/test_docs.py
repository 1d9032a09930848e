"""docs/how-to/search.md: the config that it explains, and the commands that it gives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from typer.main import get_command

from distreal_sim.cli import app
from distreal_sim.fronts.entry import Entry
from distreal_sim.fronts.front import Front
from distreal_sim.search.settings import Search, load_search

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "how-to" / "search.md").read_text()


def test_the_config_loads_and_names_every_key(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block is not None
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "own.yaml").write_text(block[1])
    shutil.copy(ROOT / "configs" / "digits.yaml", tmp_path)
    search, experiment, notes = load_search(tmp_path / "search" / "own.yaml")
    assert search.model_fields_set == set(Search.model_fields)
    assert (experiment.name, notes) == ("digits", [])


def test_every_key_of_an_entry_is_explained() -> None:
    front = Front((Entry((0.0,), (8,), 10, 0.5, memory_bytes=1),), "m", ("a",), {}).plain()
    table = TEXT[TEXT.index("| key of an entry |") :].split("\n\n")[0]
    assert re.findall(r"`(\w+)`", table) == list(front["entries"][0])
    intro = TEXT[TEXT.index("## The front file") : TEXT.index("| key of an entry |")]
    assert re.findall(r"`(\w+)`", intro) == [key for key in front if key != "format"]


def test_the_commands_exist() -> None:
    """Their names and options, and the files that they read from the repository."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^    distreal-sim (\w+) (.*)$", TEXT, re.MULTILINE)
    assert [name for name, _ in lines] == [
        *("search", "plot", "inspect", "run"),
        *("search", "check"),
        *("search", "search"),
    ]
    for name, rest in lines:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= options
        assert all((ROOT / path).exists() for path in re.findall(r"configs/\S+", rest))
