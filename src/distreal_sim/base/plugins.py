"""Plug-ins: frozen pydantic models, one per file, found by file name or dotted path.

`name: dirichlet` under `partition` is the one public subclass of `Partition` in
`distreal_sim/partitions/dirichlet.py`; `name: my_package.my_module` or
`my_package.my_module.MyPartition` is the user's own. There is no registry: adding a file adds a plug-in.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict

from distreal_sim.base.errors import InputError, nearest, unknown
from distreal_sim.base.values import ConfigModel, ConfigPath

__all__ = ["ConfigPath", "Plugin", "answers_for", "import_dotted", "library", "load", "names"]


class Plugin(ConfigModel):
    """Base of every plug-in; its fields are the keys next to `name` in the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True, protected_namespaces=())

    package: ClassVar[str]
    """The package that holds the bundled plug-ins of this kind, set by each kind's base class."""
    label: ClassVar[str]
    """The name of this kind in messages, for example 'data set'."""

    @property
    def name(self) -> str:
        """The name that loads this plug-in: its file's name, or the dotted path of outside code."""
        return _name_of(type(self))

    @classmethod
    def adapt(cls, target: Any) -> type[Self] | None:
        """A plug-in that wraps a foreign object at a dotted path, for kinds that take such objects."""
        return None

    @classmethod
    def checker(cls, options: Mapping[str, Any]) -> type[ConfigModel]:
        """The model that checks the options and fills in defaults: the plug-in, unless options decide it.

        Raises InputError where they name nothing that there is.
        """
        return cls

    @classmethod
    def checkers(cls) -> list[type[ConfigModel]]:
        """Every model that `checker` may give, for the schema of config files."""
        return [cls]

    @property
    def code(self) -> tuple[str, ...]:
        """Dotted paths of the user's code that the options name."""
        return ()


@functools.cache
def _name_of(kind: type[Plugin]) -> str:
    package, _, module = kind.__module__.rpartition(".")
    return module if package == kind.package else f"{kind.__module__}.{kind.__qualname__}"


def answers_for(plugin: Plugin, many: str, one: str) -> bool:
    """Whether the plug-in's method `many` was written for its method `one`.

    It was not where a subclass has a new `one` and the old `many`.
    """
    lineage = type(plugin).__mro__
    newest = [next(i for i, kind in enumerate(lineage) if name in vars(kind)) for name in (many, one)]
    return newest[0] <= newest[1]


P = TypeVar("P", bound=Plugin)


def names(kind: type[Plugin]) -> list[str]:
    """Names of the bundled plug-ins of a kind, sorted; imports none of them."""
    package = importlib.import_module(kind.package)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(kind: type[P], name: str) -> type[P]:
    """The plug-in class of this name.

    Raises InputError for a name that is neither bundled nor an importable dotted path.
    """
    if "." not in name:
        if name not in names(kind):
            message = unknown(kind.label, name, names(kind))
            raise InputError(f"{message}, or the dotted path of a class of your own")
        return _only_plugin(kind, importlib.import_module(f"{kind.package}.{name}"))
    target = import_dotted(name, kind.label)
    if isinstance(target, ModuleType):
        return _only_plugin(kind, target)
    if inspect.isclass(target) and issubclass(target, kind) and not inspect.isabstract(target):
        return target
    adapted = kind.adapt(target)
    if adapted is not None:
        return adapted
    raise InputError(f"{kind.label} '{name}' {_incomplete(kind, target)}")


def _incomplete(kind: type[Plugin], target: Any) -> str:
    """The parts that an object lacks to be a plug-in of this kind."""
    base = f"{kind.__module__}.{kind.__name__}"
    if not inspect.isclass(target):
        return f"is not a complete subclass of {base}: it is of type {type(target).__name__}"
    lacks = sorted(
        method
        for method in getattr(kind, "__abstractmethods__", ())
        if getattr(getattr(target, method, None), "__isabstractmethod__", not hasattr(target, method))
    )
    faults = [] if issubclass(target, kind) else ["does not inherit from it"]
    faults += [f"lacks {', '.join(f'{method}()' for method in lacks)}"] if lacks else []
    return f"is not a complete subclass of {base}: it {' and '.join(faults)}"


def import_dotted(path: str, label: str) -> Any:
    """The module or the attribute of a module at a dotted path of the user's own code.

    Raises InputError for a path that leads nowhere and for a module that fails when it is imported.
    """
    if not all(part.isidentifier() for part in path.split(".")):
        raise InputError(f"{label} '{path}' must be a dotted path like my_package.my_module.MyClass")
    for split in (path, path.rpartition(".")[0]):
        module = _import(split, f"{label} '{path}'")
        if module is None:
            continue
        if split == path:
            return module
        attribute = path.rpartition(".")[2]
        if hasattr(module, attribute):
            return getattr(module, attribute)
        raise InputError(
            f"{label} '{path}' cannot be imported: {split} has no '{attribute}'"
            f"{nearest(attribute, _own(module))} (it has: {', '.join(_own(module)) or 'nothing'})"
            f"{_hidden(split, module)}"
        )
    raise InputError(f"{label} '{path}' cannot be imported: no module of that name on the Python path")


def library(name: str, attribute: str, who: str, extra: str = "hf") -> Any:
    """A library that only some plug-ins need.

    attribute: something that it has; who: the user of the library, for messages; extra: of this package that
    installs it. Raises InputError where it is not installed, or where a file of the user's is found in its
    place.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:
        place = _place_of(name)
        if place is None:
            raise InputError(f"{who} ({error}): pip install distreal-sim[{extra}]") from error
        raise InputError(f"{who}, but {place} fails: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise InputError(
            f"{who}, which {_place_of(name)} hides; give that another name, or take its folder off PYTHONPATH"
        )
    return module


def _place_of(name: str) -> str | None:
    """The file or folder of a module, if there is one; it need not work."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


def _hidden(path: str, module: ModuleType) -> str:
    """Advice where a library has the name of a file of the user's in the working directory."""
    top = Path.cwd() / path.partition(".")[0]
    mine = next((p for p in (top.with_suffix(".py"), top) if p.exists()), None)
    file = getattr(module, "__file__", None)
    if mine is None or file is None or Path(file).is_relative_to(Path.cwd()):
        return ""
    return f"; it is {file}, which hides {mine}: give yours another name"


def _own(module: ModuleType) -> list[str]:
    """Public names that a module itself defines, and its submodules."""
    here = module.__name__
    defined = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == here]
    inner = [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []))]
    return sorted(name for name in {*defined, *inner} if not name.startswith("_"))


def _import(path: str, what: str) -> ModuleType | None:
    """The module, or None if there is none of that name."""
    try:
        return importlib.import_module(path)
    except Exception as error:  # whatever a user's module raises is a mistake in the input
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{path}.".startswith(f"{missing}."):
            return None
        raise InputError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error


def _only_plugin(kind: type[P], module: ModuleType) -> type[P]:
    found = [
        value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, kind)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    if len(found) > 1:
        several = ", ".join(f"{module.__name__}.{cls.__name__}" for cls in found)
        raise InputError(f"{kind.label} '{module.__name__}' is a module with several: name one of {several}")
    if not found:
        raise InputError(
            f"{kind.label} '{module.__name__}' is a module without a public subclass of "
            f"{kind.__module__}.{kind.__name__}"
        )
    if inspect.isabstract(found[0]):
        raise InputError(
            f"{kind.label} '{module.__name__}.{found[0].__name__}' {_incomplete(kind, found[0])}"
        )
    return found[0]
