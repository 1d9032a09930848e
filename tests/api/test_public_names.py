"""The names of `import distreal_sim as ds`: cheap to import, all there, documented, seen by mypy."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import distreal_sim as ds
from distreal_sim.base.versions import version_of

INIT = Path(ds.__file__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    """In a process of its own; only what takes no time to load."""
    heavy = ("torch", "numpy", "pandas", "ray", "flwr", "pydantic", "matplotlib", "rich")
    check = (
        f"import sys, distreal_sim as ds; print([n for n in {heavy} if n in sys.modules], len(dir(ds)) > 9)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


def test_the_three_lists_of_names_are_the_same() -> None:
    """Those for type checkers, those that are imported when they are used, and `__all__`."""
    typed = {
        (alias.name, node.module)
        for block in ast.parse(INIT.read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(ds._HOME_OF.items())
    assert sorted(ds._HOME_OF) == sorted(ds.__all__)


@pytest.mark.parametrize("name", ds.__all__)
def test_a_name_is_there_and_documented(name: str) -> None:
    """And nothing else than what its module holds; a callable module stands for the function in it."""
    found = getattr(ds, name)
    own = getattr(importlib.import_module(ds._HOME_OF[name]), name)
    if inspect.ismodule(found):
        assert inspect.signature(found) == inspect.signature(own)
    else:
        assert found is own
    assert name in dir(ds)
    assert (inspect.getdoc(own) or "").strip()


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("", marks=pytest.mark.slow),
        "import distreal_sim.run, distreal_sim.sweep.cells, distreal_sim.search; ",
    ],
)
def test_a_function_and_the_module_of_its_name_do_not_hide_each_other(first: str) -> None:
    """Whichever is imported first: `ds.run` can be called, and `distreal_sim.run.run` is the function."""
    check = (
        f"{first}import distreal_sim as ds; print([callable(f) for f in (ds.run, ds.search, ds.sweep)]); "
        "import distreal_sim.run, distreal_sim.sweep.cells as cells, distreal_sim.search; "
        "print(callable(ds.run), ds.run.run.__module__, cells.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[True, True, True]",
        "True distreal_sim.run distreal_sim.sweep.cells",
    ]


def test_the_version_is_that_of_the_command_line() -> None:
    assert ds.__version__ == version_of()


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'distreal_sim' has no attribute 'fedavg'"):
        ds.fedavg  # noqa: B018


SCRIPT = '''
from typing import Any

import pandas as pd
import distreal_sim as ds


class Mine(ds.Method):
    """Everybody trains everything."""

    def levels(self, task: ds.Task) -> ds.Always:
        raise NotImplementedError


class Early(ds.Callback):
    def on_round(self, row: Any, state: ds.State) -> bool:
        return bool(len(state.arrays))


more: dict[str, Any] = {"method.name": "fedavg"}
run: ds.Run = ds.run("config.yaml", rounds=3, callbacks=[Early(), print], **more)
table: pd.DataFrame = run.clients
reveal_type(ds.load_runs("runs"))
reveal_type(ds.check({"rounds": 3}).clients)
reveal_type(ds.sweep("sweep.yaml", seeds=[1]).table)
reveal_type(ds.search("search.yaml").front)
ds.run(3)
'''


@pytest.mark.slow
def test_a_users_script_is_type_checked(tmp_path: Path) -> None:
    """Types come through the lazy names; the one mistake, in the last line, is found."""
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "script.py"]
    ignored = ("ray", "pymoo", "sklearn", "psutil", "threadpoolctl", "scipy", "pyarrow", "safetensors")
    options = "".join(
        f"[mypy-{name}.*]\nignore_missing_imports = true\nfollow_imports = skip\n" for name in ignored
    )
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {INIT.parent.parent}\n{options}")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    lines = [line.partition("script.py:")[2] for line in done.stdout.splitlines() if "script.py:" in line]
    assert [line.partition(": ")[2] for line in lines] == [
        'note: Revealed type is "list[distreal_sim.run.Run]"',
        'note: Revealed type is "pandas.core.frame.DataFrame"',
        'note: Revealed type is "pandas.core.frame.DataFrame"',
        'note: Revealed type is "distreal_sim.fronts.front.Front"',
        'error: Argument 1 to "run" has incompatible type "int"; expected "str | Path | Mapping[str, Any] | '
        'Experiment"  [arg-type]',
    ]
