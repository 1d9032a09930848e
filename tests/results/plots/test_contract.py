"""What every figure promises: each file of `plots/` is found and tried."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots import names
from distreal_sim.results.runs import Run

WriteRun = Callable[..., Run]

some_names = pytest.mark.parametrize(
    "name", [*names()[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in names()[3:])]
)
"""All share the code that writes them: three are in the default tests."""


def figure_function(name: str) -> Callable[..., Figure]:
    return getattr(importlib.import_module(f"distreal_sim.results.plots.{name}"), name)


@pytest.fixture
def runs(write_run: WriteRun) -> list[Run]:
    """Two methods, two seeds each; client 7 is selected in both rounds."""
    clients = [{"round": 1}, {"round": 2, "macs_available": 1e9, "status": "dropped"}]
    return [
        write_run(method, [0.4, 0.6 + 0.1 * seed], seed=seed, clients=clients)
        for method in ("distreal", "fedavg")
        for seed in (1, 2)
    ]


def test_the_bundled_figures_are_found() -> None:
    assert {"accuracy", "capacity", "participation"} <= set(names())


def in_one_format() -> list[Any]:
    """Every figure in every format, of which the default tests have one each for every other figure."""
    found = []
    for number, name in enumerate(names()):
        for place, suffix in enumerate([".svg", ".png", ".pdf"]):
            found.append(pytest.param(name, suffix, marks=[] if number % 6 == place else [pytest.mark.slow]))
    return found


@pytest.mark.parametrize(("name", "suffix"), in_one_format())
def test_the_same_tables_give_the_same_bytes_and_no_other_file(
    name: str, suffix: str, runs: list[Run], tmp_path: Path
) -> None:
    first, again = tmp_path / "new" / f"first{suffix}", tmp_path / "new" / f"again{suffix.upper()}"
    figure = figure_function(name)(runs, out=first)
    assert figure.axes[0].has_data()
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9}):  # the reader's own taste
        figure_function(name)(runs, out=again)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes()[:5] in (b"%PDF-", b"\x89PNG\r", b"<?xml")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted([first.name, again.name])


@pytest.mark.parametrize("name", names())
def test_every_axis_is_named(name: str, runs: list[Run]) -> None:
    figure = figure_function(name)(runs)
    assert any(axes.get_xlabel() for axes in figure.axes) or figure.get_supxlabel()
    assert all(axes.get_ylabel() for axes in figure.axes) or figure.get_supylabel()


@some_names
def test_a_suffix_that_is_not_allowed(name: str, runs: list[Run], tmp_path: Path) -> None:
    allowed = r"suffix '\.pngg'; did you mean '\.png'\? \(allowed: \.pdf, \.png, \.svg\)"
    with pytest.raises(InputError, match=allowed):
        figure_function(name)(runs, out=tmp_path / "figure.pngg")


@some_names
def test_a_place_that_cannot_be_written_to(name: str, runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write the figure .*figure\.png"):
        figure_function(name)(runs, out=tmp_path / "file" / "figure.png")


@some_names
def test_a_failed_write_leaves_the_old_figure(name: str, runs: list[Run], tmp_path: Path) -> None:
    """A directory in the figure's place makes the last step, the rename, fail; nothing is left beside it."""
    out = tmp_path / "there" / "figure.svg"
    out.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot write the figure"):
        figure_function(name)(runs, out=out)
    assert [path.name for path in out.parent.iterdir()] == ["figure.svg"]


def test_no_figure_touches_global_state(tmp_path: Path) -> None:
    """Importing every figure and drawing in its look loads no pyplot, no window, and changes no setting."""
    code = (
        "import sys, importlib, matplotlib\n"
        "settings = lambda: dict(dict.items(matplotlib.rcParams))\n"  # reading one would resolve the backend
        "before = settings()\n"
        "from distreal_sim.results.plots import names, _save\n"
        "for name in names(): importlib.import_module(f'distreal_sim.results.plots.{name}')\n"
        "from matplotlib.figure import Figure\n"
        "from pathlib import Path\n"
        "with _save.look():\n"
        "    figure = Figure()\n"
        "    figure.add_subplot().plot([1, 2])\n"
        "    _save.save(figure, Path(sys.argv[1]))\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "figure.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
