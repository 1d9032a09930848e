"""Imports go downwards only, and each heavy dependency has its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent / "src" / "distreal_sim"

LAYERS = [
    "base",
    "thinning data models devices codecs",
    "fronts recipe",
    "results",
    "client",
    "merging server",
    "submodels",
    "methods",
    "config",
    "simulation",
    "grids inspection",
    "search run flower_app",
    "sweep",
    "planning",
    "cli",
    "__init__ __main__",
]
"""From the bottom to the top: a package imports itself and those on lines above its own."""

ALONE = {"codecs": {"base"}, "results": {"base", "fronts"}}
"""Packages with a narrower rule: they use these only."""

HOME = {
    "flwr": ("grids.flower", "grids.ray", "flower_app", "merging.flower_"),
    "ray": ("grids.ray", "search", "sweep"),
    "pymoo": ("search",),
    "matplotlib": ("results.plots",),
    "tensorboard": ("results.trackers.tensorboard",),
    "mlflow": ("results.trackers.mlflow",),
    "wandb": ("results.trackers.wandb",),
}
"""The only modules that may know these packages, by how their names begin."""

PLUGINS = (
    "models",
    "data.datasets",
    "data.partitions",
    "devices.profiles",
    "devices.links",
    "devices.availability",
    "devices.controllers",
    "recipe.augmentations",
    "recipe.optimizers",
    "recipe.schedules",
    "recipe.tasks",
    "recipe.metrics",
    "methods",
    "codecs",
    "server.coordination",
    "server.selection",
    "merging.merges",
    "results.plots",
    "results.trackers",
)
"""Packages in which a file is a plug-in, and no plug-in imports another."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names.split()}


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name below the package, file) of every module."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts), path


NAMES = dict(modules())


@cache
def imports(path: Path) -> set[str]:
    """Dotted names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full.removeprefix("distreal_sim.") in NAMES else node.module)
    return found


def own(path: Path) -> set[str]:
    """Those of this package, without its name."""
    return {n.removeprefix("distreal_sim.") for n in imports(path) if n.startswith("distreal_sim.")}


def package_of(name: str) -> str:
    return name.split(".")[0]


def test_every_part_of_the_package_has_its_line() -> None:
    assert {package_of(name) for name in NAMES} == set(LEVEL)


def test_imports_go_down() -> None:
    """Between packages only from a line to those above it; see also ALONE."""
    up = []
    for name, path in NAMES.items():
        here = package_of(name)
        for other in own(path):
            there = package_of(other)
            if here == "__init__" or there == here:
                continue
            if LEVEL[there] >= LEVEL[here] or there not in ALONE.get(here, {there}):
                up.append(f"{name} imports {other}")
    assert not up, "\n".join(up)


def test_a_module_with_an_underscore_stays_in_its_package() -> None:
    offenders = []
    for name, path in NAMES.items():
        folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for other in own(path):
            parent, _, last = other.rpartition(".")
            if last.startswith("_") and last != "__init__" and parent != folder:
                offenders.append(f"{name} imports {other}")
    assert not offenders, "\n".join(offenders)


def test_heavy_packages_have_their_place() -> None:
    offenders = []
    for name, path in NAMES.items():
        for other in imports(path):
            homes = HOME.get(package_of(other))
            if homes is not None and not name.startswith(homes):
                offenders.append(f"{name} imports {other}")
    assert not offenders, "\n".join(offenders)


def test_plug_ins_do_not_import_each_other() -> None:
    offenders = []
    for name, path in NAMES.items():
        folder = name.rpartition(".")[0]
        if folder not in PLUGINS or path.name.startswith("_"):
            continue
        for other in own(path):
            parent, _, last = other.rpartition(".")
            if parent == folder and not last.startswith("_"):
                offenders.append(f"{name} imports {other}")
    assert not offenders, "\n".join(offenders)


def test_nothing_else_imports_the_clock_of_many_rounds() -> None:
    """Only runs and plans start it."""
    users = {
        name
        for name, path in NAMES.items()
        if not name.startswith("simulation.clock")
        and any(other.startswith("simulation.clock") for other in own(path))
    }
    assert users == {"simulation.play", "planning.replay"}


def test_no_circle() -> None:
    """Modules can be put in an order in which each imports only earlier ones."""
    left = {name: {o for o in own(path) if o in NAMES and o != name} for name, path in NAMES.items()}
    while left:
        free = {name for name, others in left.items() if not others & left.keys()}
        assert free, f"these import each other in a circle: {sorted(left)}"
        left = {name: others for name, others in left.items() if name not in free}
