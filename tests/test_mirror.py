"""Every package has a folder of tests of its name."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "distreal_sim"


def test_every_package_has_a_folder_of_tests() -> None:
    packages = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    assert {"base", "thinning", "cli"} <= set(packages)
    assert [name for name in packages if not list((TESTS / name).rglob("test_*.py"))] == []
