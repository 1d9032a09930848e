"""The command line as a new user meets it: options that are keys, directories, versions, surroundings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from command import distreal_sim
from toys import TOY, WHOLE_TOY, toy

from distreal_sim import cli
from distreal_sim.base.errors import InputError
from distreal_sim.base.versions import version_of
from distreal_sim.cli import look_here_last
from distreal_sim.config import load_experiment
from distreal_sim.config.place import default_directory

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`distreal-sim WORD ...` in a folder with toy.yaml -> (exit code, stdout, stderr)."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "rounds": 1}))
    monkeypatch.chdir(tmp_path)
    return distreal_sim


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--rounds", "3"], "--rounds is no option of run but a key of the config: write rounds=3"),
        (["--lr=0.5"], "--lr is no option of run but a key of the config: write local.lr=0.5"),
        (["--clients-per-round", "3"], "write clients_per_round=3"),
        (["--method.name", "fedavg"], "write method.name=fedavg"),
        (["--seed"], "write seed=VALUE"),
    ],
)
def test_a_key_given_like_an_option(words: list[str], meant: str, command: Run) -> None:
    code, out, err = command("run", "toy.yaml", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert err.endswith(f"{meant}\n")


@pytest.mark.parametrize(
    ("name", "option", "near"),
    [
        ("run", "--ot", "--out"),
        ("run", "--verbos", "--verbose"),
        ("run", "--ray", "--ray-address"),
        ("run", "--yes", None),  # 'es' of 'resume' is not near
        ("run", "--y", None),
        ("table", "--foo", None),
        ("table", "--forat", "--format"),
        ("list", "--hlp", "--help"),
    ],
)
def test_an_option_that_is_no_key(name: str, option: str, near: str | None, command: Run) -> None:
    """The nearest option is named where one is near; the dashes that all options share make none near."""
    code, _, err = command(name, "toy.yaml", option)
    assert code == 2
    assert f"No such option '{option}'" in err or f"No such option: {option}" in err
    assert ("Did you mean" in err, f"'{near}'" in err) == (near is not None, near is not None)


def test_version(command: Run) -> None:
    assert command("--version") == (0, f"distreal-sim {version_of()}\n", "")
    assert version_of("no-such-package") == "unknown"


def test_the_directory_says_what_was_changed(command: Run) -> None:
    """NAME-METHOD-SEED, and another directory for another learning rate; which one is said."""
    first = command("run", "toy.yaml", "--grid", "serial", "method.name=fedavg")
    second = command("run", "toy.yaml", "--grid", "serial", "method.name=fedavg", "local.lr=0.2")
    assert [first[0], second[0]] == [0, 0]
    assert "run directory: runs/toy-fedavg-7\n" in first[2]
    assert "run directory: runs/toy-fedavg-7-local.lr=0.2\n" in second[2]
    code, _, err = command("run", "toy.yaml", "--grid", "serial", "method.name=fedavg", "local.lr=0.2")
    assert code == 2
    assert "runs/toy-fedavg-7-local.lr=0.2 already holds a run" in err


@pytest.mark.parametrize(
    ("overrides", "suffix"),
    [
        (["seed=3", "checkpoint_every=4"], "toy-distreal-3"),
        (["method=fedavg"], "toy-fedavg-7"),
        (["rounds=2", "local.lr=0.2", "rounds=3"], "toy-distreal-7-local.lr=0.2-rounds=3"),
    ],
)
def test_names_of_directories(overrides: list[str], suffix: str, tmp_path: Path) -> None:
    """The last of two values counts; keys that the name shows, or that change nothing, are left out."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    experiment, _ = load_experiment(tmp_path / "toy.yaml", overrides)
    assert default_directory(experiment, overrides) == Path("runs") / suffix


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    """Overrides that are long, or of odd characters, stand as a hash, which differs where they do."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    found = set()
    for value in ("[0.1, 0.5, 1.0]", "[0.2, 0.5, 1.0]"):
        overrides = [f"profile.levels={value}"]
        experiment, _ = load_experiment(tmp_path / "toy.yaml", overrides)
        found.add(default_directory(experiment, overrides))
    assert len(found) == 2
    assert all(len(path.name) == len("toy-distreal-7-") + 8 for path in found)


@pytest.mark.parametrize("name", ["../../x", "a/b", "a\\b"])
def test_a_name_that_leads_elsewhere(name: str) -> None:
    with pytest.raises(InputError, match=r"^name = .* cannot be part of the run directory .* --out$"):
        default_directory(toy(name=name), [])


def test_the_working_directory_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started as a script, with `python -m` or `python -c`; what PYTHONPATH says stays where it is."""
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path)
    for before, after in (
        (["/bin", "/lib"], ["/bin", "/lib", here]),
        ([here, "/lib"], ["/lib", here]),
        (["", "/lib"], ["/lib", here]),
        (["/bin", here, "/lib"], ["/bin", here, "/lib"]),
    ):
        monkeypatch.setattr(cli.sys, "path", before)
        look_here_last()
        assert sys.path == after


def python(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in environment}
    command = [sys.executable, "-m", "distreal_sim", *words]
    pipes = {"capture_output": True, "text": True, "check": False}
    return subprocess.run(command, cwd=folder, env=env | environment, **pipes)


def test_files_that_hide_no_library_and_a_locale_without_accents(tmp_path: Path) -> None:
    """`datasets.py` and others lie beside the config: the libraries are found all the same. A config is
    UTF-8 whatever the locale; what it cannot show becomes a question mark.
    """
    (tmp_path / "toy.yaml").write_text(
        "# café\n" + yaml.safe_dump({**WHOLE_TOY, "name": "é"}, allow_unicode=True), "utf-8"
    )
    for name in ("datasets", "models", "scipy", "sklearn", "rich", "safetensors"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('mine')")
    done = python(tmp_path, "check", "toy.yaml", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout
    assert not [c for c in done.stdout if not c.isascii()]


def test_a_table_in_ascii(tmp_path: Path) -> None:
    """The sign of an interval is one that ASCII lacks."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "rounds": 1}))
    for seed in (1, 2):
        words = ["toy.yaml", f"seed={seed}", "method=fedavg", "--grid", "serial", "--out", f"runs/{seed}"]
        assert distreal_sim("run", *words, cwd=tmp_path).code == 0
    done = python(tmp_path, "table", "runs", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "+-" in done.stdout


def test_a_figure_with_any_backend(tmp_path: Path) -> None:
    """A figure needs no screen, and no backend that there is."""
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**TOY, "rounds": 1}))
    words = ["toy.yaml", "method=fedavg", "--grid", "serial", "--out", "runs/one"]
    assert distreal_sim("run", *words, cwd=tmp_path).code == 0
    done = python(tmp_path, "plot", "runs", MPLBACKEND="bogus")
    assert (done.returncode, done.stdout, done.stderr) == (0, "accuracy.png\n", "")


def test_a_package_that_is_importable_and_not_installed(
    command: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """As with a copied `src`: the run ends well, and says that it does not know its version."""
    from distreal_sim.base import versions

    def missing(name: str) -> str:
        raise versions.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions.metadata, "version", missing)
    versions.version_of.cache_clear()
    request.addfinalizer(versions.version_of.cache_clear)
    code, _, err = command("run", "toy.yaml", "--grid", "serial", "--out", "out", "method=fedavg")
    assert code == 0, err
    info = json.loads(Path("out/run.json").read_text())
    assert (info["version"], info["packages"]["torch"]) == ("unknown", "unknown")
