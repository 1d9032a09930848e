"""The script that puts small errors into the package finds those that the tests do not see."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parent


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("mutate")


@pytest.mark.slow
def test_the_list_fits_the_package(mutate: ModuleType) -> None:
    """Every snippet is there just once, and so are the tests."""
    assert not mutate.faults(mutate.MUTANTS, mutate.ROOT / "src")


@pytest.mark.slow
def test_a_sample_of_five_is_killed() -> None:
    command = [sys.executable, str(TOOLS / "mutate.py"), "--dirty", "--sample", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("5 of 5 mutants killed\n")


@pytest.mark.slow
def test_a_survivor_is_told_and_an_unknown_snippet_too(mutate: ModuleType, tmp_path: Path) -> None:
    """A comment instead of another changes nothing; a snippet that is twice in a tree cannot be applied."""
    source = tmp_path / "src"
    package = source / "distreal_sim"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("ONE = 1  # one\nTWO = 2\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        "import distreal_sim\n\ndef test_one() -> None:\n    assert distreal_sim.ONE == 1\n"
    )
    mutate.ROOT = tmp_path

    def mutant(snippet: str, mutated: str) -> object:
        return mutate.Mutant(snippet, mutated, ("test_it.py",))

    wrong, harmless, broken = mutant("ONE = 1", "ONE = 2"), mutant("# one", "# two"), mutant("ONE = 1", "(")
    assert mutate.run_mutant(wrong, source) == ("failed", "tests/test_it.py::test_one")
    assert mutate.run_mutant(harmless, source) == ("passed", "")
    assert mutate.run_mutant(broken, source)[0] == "broken"
    assert (package / "__init__.py").read_text().startswith("ONE = 1  # one")
    assert len(mutate.faults([wrong, harmless, mutant(" = ", " ="), mutant("THREE", "")], source)) == 2
    assert mutate.check([wrong]) == 0
    assert mutate.check([wrong, harmless]) == 1
