"""What the repository as a whole must be: an app that Flower Hub takes, and pins that fit each other."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_flower_hubs_limits() -> None:
    """At most 1,000 files of at most 1 MiB each and 10 MiB together; counted are the committed files that
    CONTRIBUTING.md publishes, of the kinds that Flower takes, which leaves out tables and pictures.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    app = re.search(r"git archive HEAD ([^|]*?) \|", text)
    assert app is not None
    command = ["git", "ls-files", "-z", "--", *app[1].replace("\\\n", " ").split()]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    names = [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    publish = importlib.import_module("flwr.cli.app_cmd.publish")
    taken = publish.filter_paths_for_publish({name: ROOT / name for name in names})
    assert {"pyproject.toml", "README.md", "LICENSE", "configs/digits.yaml"} <= set(taken)
    sizes = {path: path.stat().st_size for path in taken.values()}
    assert 300 < len(sizes) <= 1000
    assert max(sizes.values()) <= 2**20, max(sizes, key=lambda path: sizes[path])
    assert sum(sizes.values()) <= 10 * 2**20


def test_the_constraints_fit_the_requirements() -> None:
    """Every requirement of the package and of its tests has one pinned version, which it allows."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] not in "#"]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    assert len(pins) == len(lines)
    extras = PROJECT["optional-dependencies"]
    for text in [*PROJECT["dependencies"], *extras["hf"], *extras["dev"]]:
        requirement = Requirement(text)
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text
    assert " -c constraints.txt -e " in (ROOT / "Makefile").read_text()


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_hooks_are_the_checks() -> None:
    """pre-commit runs the commands of `make check` as the Makefile has them; before a push, the tests."""
    recipe = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    checks = [
        line.strip().replace("$(BIN)/", "") for line in recipe.splitlines()[1:] if "test" not in line.lower()
    ]
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for repo in repos for hook in repo["hooks"]]
    assert entries == [*checks, "make test"]
