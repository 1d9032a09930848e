"""The user's own source files that a run depends on, each with a hash of its content.

They are the files of the modules that plug-ins at dotted paths come from, and of all modules that these
import, as far as they belong neither to this package nor to Python nor to an installed package
(`site-packages`, or a folder of `pip install --target`). Imports are read from the source, those within
functions too, and nothing is imported for it; what a module took from another one by other means
(`importlib`) is found among its values.
"""

from __future__ import annotations

import ast
import hashlib
import site
import subprocess
import sys
import sysconfig
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import PathDistribution
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from distreal_sim.base.errors import InputError

Sources = Mapping[str, str]
"""File name as of the module's dotted path, `my_package/my_module.py`, and 16 hex digits of its content."""

OURS = __name__.partition(".")[0]

INSTALLED = {"site-packages", "dist-packages"}

_read: weakref.WeakKeyDictionary[ModuleType, tuple[ModuleSpec | None, str]] = weakref.WeakKeyDictionary()
"""The content of each imported module's file when it was first read, until it is reloaded."""


def sources_of(modules: Iterable[str]) -> dict[str, str]:
    """The user's files that these modules and what they import come from, sorted by name.

    The names do not depend on where the files lie. Raises InputError for a file that was changed after it was
    imported: what it holds is not what would run.
    """
    found = {
        label: _checked(name, path, hashlib.sha256(content).hexdigest()[:16])
        for name, label, path, content in _own_files(modules)
    }
    return dict(sorted(found.items()))


def reading(modules: Iterable[str], attribute: str) -> list[str]:
    """Names of files whose code reads an attribute of this name, in whatever object.

    The files are those of the modules themselves, this package's among them, and the user's that they import.
    """
    several = list(modules)
    files = {label: content for _, label, _, content in _own_files(several)}
    for name in several:
        file = getattr(sys.modules.get(name), "__file__", None)
        if name.partition(".")[0] == OURS and file is not None:
            files[name.replace(".", "/") + ".py"] = Path(file).read_bytes()
    return sorted(label for label, content in files.items() if attribute in _attributes(content))


def _own_files(modules: Iterable[str]) -> Iterator[tuple[str, str, Path, bytes]]:
    """(module, name of the file, file, content) of the user's modules among these and what they import."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] == OURS:
            continue
        seen.add(name)
        waiting += _parents(name)
        spec = _spec(name)
        path = _own_file(spec)
        if spec is None or path is None:
            continue
        content = path.read_bytes()
        package = spec.submodule_search_locations is not None
        yield name, _label(name, path, package), path, content
        if path.suffix == ".py":
            waiting += _imports(content, name if package else _package(name))
        waiting += _values(sys.modules.get(name))


def changed(old: Sources, new: Sources) -> str | None:
    """The first file, by name, that only one of both has or that differs in content."""
    return next((name for name in sorted({*old, *new}) if old.get(name) != new.get(name)), None)


@cache
def check_same(modules: tuple[str, ...], sources: tuple[tuple[str, str], ...]) -> None:
    """Raises InputError where this process has other source code than `sources`, pairs of name and hash.

    Each process looks once: it does not run a file that is edited later.
    """
    if (file := changed(dict(sources), sources_of(modules))) is not None:
        raise InputError(f"{file} was changed after the command began, and this process has read it later")


STATUS = ("git", "status", "--porcelain=v2", "--branch", "--untracked-files=no")


def git_state() -> dict[str, Any] | None:
    """`commit` of the working directory, and whether files that git knows are changed (`dirty`).

    None where there is no commit or no git.
    """
    try:
        done = subprocess.run(STATUS, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    commits = [line.split()[2] for line in lines if line.startswith("# branch.oid ")]
    if commits in ([], ["(initial)"]):
        return None
    return {"commit": commits[0], "dirty": not all(line.startswith("#") for line in lines)}


def _parents(name: str) -> list[str]:
    """The packages around a module; importing it runs them too."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _package(name: str) -> str:
    """What `.` means in the imports of a module that is no package."""
    if name == "__main__":
        return getattr(sys.modules[name], "__package__", None) or ""
    return name.rpartition(".")[0]


def _label(name: str, path: Path, package: bool) -> str:
    if name == "__main__":
        return path.name
    return name.replace(".", "/") + (f"/__init__{path.suffix}" if package else path.suffix)


def _checked(name: str, path: Path, content: str) -> str:
    """The hash itself. Raises InputError where an imported module's file had another one before."""
    module = sys.modules.get(name)
    if module is None:
        return content
    spec, before = _read.get(module, (None, ""))
    if not before or spec is not module.__spec__:
        _read[module] = module.__spec__, content
    elif before != content:
        raise InputError(
            f"{path} was changed after it was imported in this process, which has the old code; restart "
            f"Python (or importlib.reload({name}))"
        )
    return content


def _spec(name: str) -> ModuleSpec | None:
    """Where a module comes from or would come from; None where there is none. Imports nothing."""
    module = sys.modules.get(name)
    if module is not None:
        spec: ModuleSpec | None = getattr(module, "__spec__", None)
        file = getattr(module, "__file__", None)
        return spec or (ModuleSpec(name, None, origin=file) if file else None)
    parent, _, _ = name.rpartition(".")
    above = _spec(parent) if parent else None
    where = above.submodule_search_locations if above is not None else None
    if parent and where is None:
        return None
    for finder in sys.meta_path:
        try:
            found = finder.find_spec(name, where)
        except (ImportError, AttributeError, ValueError):
            continue
        except KeyError:  # Python looks for the parent of a namespace among the imported modules
            return _namespace(name, where or ())
        if found is not None:
            return found
    return None


def _namespace(name: str, above: Iterable[str]) -> ModuleSpec | None:
    """A package without `__init__.py` in one of the folders of the package above it."""
    folders = [str(folder) for parent in above if (folder := Path(parent, name.rpartition(".")[2])).is_dir()]
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = folders
    return spec if folders else None


def _own_file(spec: ModuleSpec | None) -> Path | None:
    """The file, if it is the user's own."""
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).absolute()
    if not path.is_file() or INSTALLED.intersection(path.parts):
        return None
    either = (path, path.resolve())
    if any(_top(path, folder) in _installed_in(folder) for folder in sys.path if path.is_relative_to(folder)):
        return None
    return None if any(p.is_relative_to(folder) for folder in _foreign() for p in either) else path


def _top(path: Path, folder: str) -> str:
    return path.relative_to(folder).parts[0]


@cache
def _installed_in(folder: str) -> frozenset[str]:
    """Names at the top of a folder that pip installed there, as `pip install --target` does."""
    installed = map(PathDistribution, Path(folder).glob("*.dist-info"))
    return frozenset(file.parts[0] for distribution in installed for file in distribution.files or ())


@cache
def _foreign() -> tuple[Path, ...]:
    """Folders of this package, of Python and of installed packages."""
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)}
    return tuple({path for folder in folders for path in (Path(folder), Path(folder).resolve())})


@lru_cache(maxsize=1024)
def _imports(content: bytes, package: str) -> tuple[str, ...]:
    """Modules that a source names in its imports, or could mean by them; package: what `.` means."""
    return tuple(dict.fromkeys(name for node in _nodes(content) for name in _named(node, package)))


def _attributes(content: bytes) -> set[str]:
    """Names of the attributes that a source reads or sets."""
    return {node.attr for node in _nodes(content) if isinstance(node, ast.Attribute)}


def _nodes(content: bytes) -> Iterator[ast.AST]:
    """All nodes of a source; none where it is not Python."""
    try:
        yield from ast.walk(ast.parse(content))
    except (SyntaxError, ValueError):
        return


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parts = package.split(".") if package else []
        above = parts[: len(parts) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        if base:
            yield base
        yield from (f"{base}.{alias.name}".removeprefix(".") for alias in node.names if alias.name != "*")


def _values(module: ModuleType | None) -> Iterator[str]:
    """Names of the modules that a module's values are, or come from."""
    for value in list(vars(module).values()) if module is not None else ():
        if isinstance(value, ModuleType):
            yield value.__name__
        elif isinstance(value, type | FunctionType) and isinstance(value.__module__, str):
            yield value.__module__
