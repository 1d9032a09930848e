"""What the README says is done as it stands there."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command import distreal_sim

from distreal_sim.config import parse_experiment, read_yaml
from distreal_sim.inspection.listing import names as listed

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def call(command: str, folder: Path) -> str:
    """The command in this process, with the words that the shell would make of it."""
    done = distreal_sim(*shlex.split(command)[1:], cwd=folder)
    assert done.code == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shell(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project's configs, in which a user tries the README's commands."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


@pytest.mark.filterwarnings("ignore")
def test_python(folder: Path) -> None:
    """The block on the Python API runs, and leaves three rounds."""
    with contextlib.chdir(folder):
        exec(blocks("python")[1], {})
    assert len((folder / "runs" / "python" / "rounds.csv").read_text().splitlines()) == 4


def test_commands(folder: Path) -> None:
    """Every command of the first block, in order; the runs, table and figure are there afterwards.

    The first is a process of its own, as a user has it.
    """
    first, *others = blocks("bash")[0].splitlines()
    outputs = {first: shell(first, folder)} | {command: call(command, folder) for command in others}
    assert (folder / "runs" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    for run in ("first", "second"):
        assert len((folder / "runs" / run / "rounds.csv").read_text().splitlines()) == 4
    table = next(out for command, out in outputs.items() if " table " in command)
    assert "distreal" in table
    assert "fedavg" in table


def test_a_sweep(folder: Path) -> None:
    """By one process, and shortened; as it stands there, on Ray, in the slow tests."""
    sweeps(folder, " rounds=2 --workers 1")


@pytest.mark.slow
@pytest.mark.usefixtures("four_cores")
def test_a_sweep_on_ray(folder: Path) -> None:
    sweeps(folder, "")


def sweeps(folder: Path, option: str) -> None:
    """Two methods x two rates of change x two seeds; the table has both methods under both settings.

    option: what is added to the first command.
    """
    (folder / "my_sweep.yaml").write_text(blocks("yaml")[1])
    first, *others = blocks("bash")[1].splitlines()
    _, table, _ = (call(command, folder) for command in [first + option, *others])
    assert table.count("fedavg-drop") == table.count("ordered-distreal") == 2
    assert len((folder / "runs" / "methods" / "sweep.csv").read_text().splitlines()) == 1 + 8
    assert (folder / "runs" / "methods.png").read_bytes().startswith(b"\x89PNG")


def test_a_method_in_one_file(folder: Path) -> None:
    """The README's method runs by its dotted path, with its own option, and is thinned for weak clients."""
    (folder / "my_methods.py").write_text(blocks("python")[0])
    for command in blocks("bash")[2].splitlines():
        call(command, folder)
    config = read_yaml(folder / "runs" / "static" / "config.yaml")
    assert config["method"]["n_widths"] == 4
    import pandas as pd

    clients = pd.read_parquet(folder / "runs" / "static" / "clients.parquet")
    assert set(clients["mean_keep_rate"].dropna().round(2)) <= {0.25, 0.5, 0.75, 1.0}
    assert clients["mean_keep_rate"].nunique() > 1


def test_the_explained_config_is_the_demo_config() -> None:
    """It loads, and differs from configs/digits.yaml in name and rounds only."""
    import yaml

    ours = parse_experiment(yaml.safe_load(blocks("yaml")[0]), source="README").resolved()
    demo = parse_experiment(read_yaml(ROOT / "configs" / "digits.yaml"), source="digits").resolved()
    assert {k for k in demo if ours[k] != demo[k]} == {"name", "rounds"}


def test_links() -> None:
    """Every file that the README names exists."""
    for target in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"`(src/[^`]+)`", README):
        assert (ROOT / target).exists(), target


COUNTS = {
    "and WORD rivals": ("methods", 1),  # all but distreal
    "WORD bundled ones": ("models", 0),
    "WORD ways to divide them": ("partitions", 0),
    "WORD optimizers": ("optimizers", 0),
    "WORD metrics": ("metrics", 0),
    "WORD ways to select clients": ("selection", 0),
}
"""What the README counts in words, with the kind, and how many of it are not meant."""


@pytest.mark.parametrize("phrase", COUNTS)
def test_a_number_in_words(phrase: str) -> None:
    words = "five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    numbers = {5 + i: word for i, word in enumerate([*words.split(), "nineteen", "twenty", "twenty-one"])}
    kind, n_others = COUNTS[phrase]
    assert phrase.replace("WORD", numbers[len(listed(kind)) - n_others]) in README
