"""Imports go downwards only, and each heavy dependency has its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "src" / "distreal_sim"

LAYERS = [
    "bulk_rng errors files npy params plugins process rng settings types",
    "availability datasets models networks partitions profiles thinning comparison labels runs swept tables",
    "batches capacities capacity cohort front front_file fronts merging plots",
    "schedule schedules",
    "task",
    "evaluation flower_merge local levels prediction timed widths",
    "methods",
    "config",
    "build records",
    "simulation clock",
    "verify",
    "run_directory",
    "session",
    "grids",
    "client",
    "server",
    "choice",
    "run console plan inspection search sweep",
    "cli __main__",
]
"""From the bottom to the top; a module imports from its own line and the lines above it here."""

HOME = {
    "flwr": {"client", "server", "grids", "flower_merge"},  # flower_merge: its strategies as the merge
    "ray": {"grids", "search", "sweep"},
    "pymoo": {"search"},
    "matplotlib": {"plots"},
}
"""The only parts that may know these packages."""

PLUGIN_PACKAGES = {"models", "datasets", "partitions", "profiles", "availability", "networks", "methods"}

FILES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> list[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    nodes = ast.walk(ast.parse(path.read_text()))
    return found + [f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]


def part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


def offences(path: Path) -> Iterator[str]:
    """What a file imports against the rules."""
    level = {name: i for i, names in enumerate(LAYERS) for name in names.split()}
    here = part(path)
    for name in imports(path):
        package, *rest = name.split(".")
        if package in HOME and here not in HOME[package]:
            yield f"{path} imports {package}"
        if package != "distreal_sim" or not rest or here == "__init__":
            continue
        there = rest[0]
        if level[there] > level[here]:
            yield f"{path} imports {there}, which is above {here}"
        inside = len(rest) > 1 and here == there in PLUGIN_PACKAGES and path.name != "__init__.py"
        if inside and (ROOT / there / f"{rest[1]}.py").exists() and not rest[1].startswith("_"):
            yield f"plug-in {path} imports plug-in {rest[1]}"


def test_imports_go_down() -> None:
    assert [offence for path in FILES for offence in offences(path)] == []
