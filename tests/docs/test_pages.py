"""Pages whose blocks a reader follows from top to bottom: files are written, commands are run."""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest
import yaml
from command import distreal_sim

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder beside the project's configs."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


def follow(page: str, folder: Path) -> list[str]:
    """Does what the page says, in `folder`; returns what each command printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed = []
    for language, name, content in BLOCK.findall((ROOT / "docs" / page).read_text()):
        if name:
            (folder / name).write_text(content)
            continue
        if language != "bash":
            continue
        for command in content.splitlines():
            program, *words = shlex.split(command)
            if program == "distreal-sim":
                called = distreal_sim(*words, cwd=folder)
                assert called.code == 0, f"{command}\n{called.stdout}\n{called.stderr}"
                printed.append(called.stdout)
                continue
            if program == "python":  # in this process: torch takes long to import
                with chdir(folder), redirect_stdout(io.StringIO()) as out:
                    if words[:2] == ["-m", "pytest"]:
                        assert pytest.main(["-p", "no:cacheprovider", *words[2:]]) == 0
                    else:
                        runpy.run_path(words[0], run_name="__main__")
                printed.append(out.getvalue())
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=folder,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed.append(done.stdout)
    return printed


def test_add_a_method(folder: Path) -> None:
    """The sweep's table ends with the method beside its rivals."""
    printed = follow("how-to/add-a-method.md", folder)
    assert {"fedavg", "classifier-only", "skipping"} <= set(re.findall(r"[\w-]+", printed[-1]))


def test_add_a_model(folder: Path) -> None:
    """Stem and second convolution share a group of 6 channels; the first one has its own."""
    _, layers, _ = follow("how-to/add-a-model.md", folder)
    assert "stem" in layers
    assert "second" in layers


def test_add_a_dataset(folder: Path) -> None:
    """1,797 digits, of which numbers 0, 5, 10, ... 1,795, so 360, are for testing."""
    _, checked, *_ = follow("how-to/add-a-dataset.md", folder)
    assert "1,437" in checked or "1437" in checked
    assert "360" in checked


def test_add_a_profile(folder: Path) -> None:
    """Power from 10 s on, for 0.3 x 60 s of every 60 s: 10 to 28 s, 70 to 88 s."""
    follow("how-to/add-a-profile.md", folder)
    written = runpy.run_path(str(folder / "my_profiles.py"))
    timeline = written["Charge"](written["Charging"](period_s=60), 10.0)
    assert timeline.piece(0.0) == (0.1, 10.0)
    assert timeline.piece(10.0) == (1.0, 28.0)
    assert timeline.piece(28.0) == (0.1, 70.0)
    assert timeline.piece(70.0) == (1.0, 88.0)


@pytest.mark.slow
def test_plan(folder: Path) -> None:
    """A row for each of the three methods, and the column of the deadline."""
    printed, _ = follow("how-to/plan.md", folder)
    assert (folder / "runs" / "timeline.png").exists()
    assert "100 rounds without training" in printed
    for word in ("distreal", "fedavg", "heterofl", "90 % in"):
        assert word in printed


def test_runs(folder: Path) -> None:
    """The extended run ends after its fourth round of 10 simulated seconds; the best round is one of 4."""
    _, longer, _, kept, best, own = follow("how-to/runs.md", folder)
    for printed in (longer, kept):
        assert "4 rounds, 40 simulated s" in printed
    assert re.fullmatch(r"round [1-4] \d+ parameters\n", best)
    assert own == "rounds of digits-fedavg-1 from 1\n1 10.0\n2 20.0\nfinished\n"


def test_recipe(folder: Path) -> None:
    """The recipe as `check` shows it; two methods and two plug-ins of the page's own train by it."""
    checked, *others = follow("how-to/recipe.md", folder)
    shown = " ".join(checked.split())
    assert (
        "lr 0.003 (cosine: warmup_rounds=1, final=0.0), gradients of norm 1 at most, label smoothing 0.1"
        in shown
    )
    assert "optimizer adam: weight_decay=0.0001, beta1=0.9, beta2=0.999" in shown
    assert "augmentation crop: padding=1" in shown
    assert len(others) == 3
    own = yaml.safe_load((folder / "runs" / "own_recipe" / "config.yaml").read_text())["local"]
    assert (own["optimizer"]["name"], own["augment"]) == (
        "my_recipe.Lion",
        [{"name": "my_recipe.Noise", "size": 0.1}],
    )


def test_compare(folder: Path) -> None:
    """Tuning: 3 labels x 3 rates x 2 seeds = 18 runs of 60 rounds; comparing: 3 labels x 5 seeds = 15."""
    tuning, compared = follow("how-to/compare.md", folder)
    assert "18 cells, 1,080 rounds" in tuning
    assert "15 cells, 900 rounds" in compared


def test_the_files_it_points_to_are_there() -> None:
    text = (ROOT / "docs" / "how-to" / "add-a-method.md").read_text()
    for name in re.findall(r"`(\w+\.py)`", text.partition("## More to build on")[2]):
        assert (ROOT / "src" / "distreal_sim" / "methods" / name).exists(), name


def test_tutorial(folder: Path) -> None:
    """3 rounds of 10 clients; the replayed steps end by the deadline, so the client completes its work."""
    *_, status, one_client = follow("tutorial.md", folder)
    for line in re.findall(r"\{(.*?)\}", status):
        assert sum(map(int, re.findall(r"\d+", line))) == 30
    assert status.count("{") == 2
    assert re.search(r"completed after 9\.\d+ s", one_client)
