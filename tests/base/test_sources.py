"""Which files of the user's a run depends on, and what they change: hash, resume."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toys import whole_toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.sources import changed, check_same, git_state, sources_of
from distreal_sim.run import run

Write = Callable[..., None]

FILES = {
    "pkg_a/__init__.py": "",
    "pkg_a/method.py": (
        "import json, numpy\n"
        "from . import near\n"
        "from .sub import deep as d\n"
        "from bare import value\n"
        "from distreal_sim.methods.fedavg import FedAvg\n"
        "class Mine(FedAvg):\n"
        "    pass\n"
    ),
    "pkg_a/near.py": "import importlib\nother = importlib.import_module('by_' + 'name')\n",
    "pkg_a/sub/deep.py": "def later():\n    import lazy.inner\n",  # sub: a namespace package
    "pkg_a/unused.py": "",
    "bare.py": "from typing import TYPE_CHECKING\nvalue = 1\n",
    "by_name.py": "import pkg_a.method\n",  # a circle
    "lazy/__init__.py": "raise RuntimeError('not to be imported')\n",
    "lazy/inner.py": "",
}
"""A method and all ways of importing; nothing imports `pkg_a.unused`."""

CLOSURE = sorted(FILES.keys() - {"pkg_a/unused.py"})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """write(folder, files) puts modules into a folder that is first on the Python path, none imported yet."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def files_of(folder: str, files: dict[str, str]) -> None:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in {"pkg_a", "bare", "by_name", "lazy", "mine", "helper", "my_nets"}:
                del sys.modules[name]
        for name, text in files.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
        monkeypatch.syspath_prepend(tmp_path / folder)

    yield files_of
    files_of(".", {})


def test_everything_that_is_imported_and_nothing_else(write: Write) -> None:
    """Packages, siblings, namespace packages, imports in functions and by name, circles; by content alone."""
    write("here", FILES)
    importlib.import_module("pkg_a.method")
    found = sources_of(["pkg_a.method"])
    assert list(found) == CLOSURE
    digest = hashlib.sha256(FILES["bare.py"].encode()).hexdigest()[:16]
    assert found["bare.py"] == digest
    assert not any(name.startswith("lazy") for name in sys.modules)


def test_neither_place_nor_working_directory_count(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for folder in ("one", "two/deeper"):
        write(folder, FILES)
        monkeypatch.chdir(tmp_path / folder)
        importlib.import_module("pkg_a.method")
        found.append(sources_of(["pkg_a.method"]))
    assert found[0] == found[1]


def test_installed_packages_do_not_count(write: Write) -> None:
    write("site-packages", {"helper.py": ""})
    write("here", {"mine.py": "import helper, torch, yaml\n"})
    importlib.import_module("mine")
    assert list(sources_of(["mine", "torch", "distreal_sim.run"])) == ["mine.py"]


def test_a_folder_of_pip_install_target_is_half_the_users(write: Write) -> None:
    """What pip put there is listed in a RECORD; what lies beside it is the user's own."""
    installed = {"helper.py": "", "helper-1.dist-info/RECORD": "helper.py,,\n"}
    write("target", {**installed, "bare.py": "import helper\n"})
    importlib.import_module("bare")
    assert list(sources_of(["bare"])) == ["bare.py"]


def test_a_namespace_in_a_namespace_that_nobody_has_imported(write: Write) -> None:
    write("here", {"bare.py": "def later():\n    import lazy.inner.deep\n", "lazy/inner/deep.py": ""})
    importlib.import_module("bare")
    assert list(sources_of(["bare"])) == ["bare.py", "lazy/inner/deep.py"]


@pytest.mark.parametrize("file", CLOSURE)
def test_each_file_is_in_the_hash(file: str, write: Write) -> None:
    method = {"name": "pkg_a.method.Mine"}
    write("here", FILES)
    before = whole_toy(method=method)
    assert whole_toy(method="fedavg").sources == {}
    write("here", {file: FILES[file] + "# another thought\n"})
    after = whole_toy(method=method)
    assert changed(before.sources, after.sources) == file
    assert before.hash() != after.hash()
    assert before.hash(with_sources=False) == after.hash(with_sources=False)


def test_a_network_and_a_base_class_in_another_module(write: Write) -> None:
    """A torch module and a method whose base class stands elsewhere: sources of all plug-ins together."""
    net = (
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, n_classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, n_classes))\n"
    )
    files = {"my_nets.py": net, "helper.py": "from pkg_a.method import Mine\n", **FILES}
    write("here", {**files, "mine.py": "import helper\nclass My(helper.Mine):\n    pass\n"})
    experiment = whole_toy(model="my_nets.Net", method="mine.My")
    assert list(experiment.sources) == sorted([*CLOSURE, "helper.py", "mine.py", "my_nets.py"])


def test_code_that_is_older_than_its_file_is_refused(write: Write, tmp_path: Path) -> None:
    """The process has the old code: the hash of the new file would be a lie, before a reload."""
    write("here", FILES)
    before = whole_toy(method="pkg_a.method.Mine")
    (tmp_path / "here" / "bare.py").write_text("value = 2\n")
    with pytest.raises(InputError, match=r"bare\.py was changed after it was imported .*reload\(bare\)"):
        whole_toy(method="pkg_a.method.Mine")
    importlib.reload(sys.modules["bare"])
    assert changed(before.sources, whole_toy(method="pkg_a.method.Mine").sources) == "bare.py"


def test_a_process_that_started_later_has_the_same_code(write: Write) -> None:
    """What a worker does before its first cell: another file than the command's is an error."""
    write("here", FILES)
    experiment = whole_toy(method="pkg_a.method.Mine")
    experiment.check_sources()
    with pytest.raises(InputError, match=r"^bare\.py was changed after the command began"):
        check_same(("pkg_a.method",), tuple({**experiment.sources, "bare.py": "0"}.items()))


@pytest.mark.parametrize(("file", "rounds"), [("pkg_a/method.py", 1), ("bare.py", 1), ("bare.py", 2)])
def test_resume_with_other_code_is_refused(file: str, rounds: int, write: Write, tmp_path: Path) -> None:
    """One line that names the file; with the code of the beginning it goes on. run.json has the hashes.

    More rounds are no reason, since those may be added.
    """
    out = tmp_path / "run"
    write("here", FILES)
    experiment = whole_toy(method="pkg_a.method.Mine", rounds=1)
    run(experiment, out, grid="serial")
    info = json.loads((out / "run.json").read_text())
    assert info["sources"] == dict(experiment.sources)
    assert info["config_hash"] == experiment.hash() != info["settings_hash"]
    write("here", {file: FILES[file] + "# another thought\n"})
    with pytest.raises(InputError) as caught:
        run(whole_toy(method="pkg_a.method.Mine", rounds=rounds), out, grid="serial", resume=True)
    assert str(caught.value) == (
        f"{out} holds the run of other source code: {file} has been changed since it began; go back to the "
        "code that the run began with, or choose another --out"
    )
    write("here", FILES)
    run(whole_toy(method="pkg_a.method.Mine", rounds=rounds), out, grid="serial", resume=True)


def test_the_commit_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside a repository; then the commit, dirty once a file that git knows differs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() is None

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *who, *words], check=True, capture_output=True, text=True, env=dict(os.environ)
        ).stdout.strip()

    git("init")
    assert git_state() is None
    (tmp_path / "a.py").write_text("1\n")
    git("add", "a.py")
    git("commit", "-m", "one")
    (tmp_path / "runs").write_text("a result\n")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "a.py").write_text("2\n")
    assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": True}
