"""Plug-ins: frozen pydantic models, one per file, found by file name or dotted path.

`name: dirichlet` under `partition` is the one public subclass of `Partition` in
`distreal_sim/partitions/dirichlet.py`; `name: my_package.my_module` or
`my_package.my_module.MyPartition` is the user's own. There is no registry: adding a file adds a plug-in.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from distreal_sim.errors import InputError, unknown


def _against_config_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base_dir")
    return (Path(base) / path.expanduser()).resolve() if base is not None else path


ConfigPath = Annotated[Path, AfterValidator(_against_config_file)]
"""A path in a config; a relative one is resolved against the folder of the config file."""


class Plugin(BaseModel):
    """Base of every plug-in; its fields are the keys that stand beside `name` in the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    package: ClassVar[str]
    """The package that holds the bundled plug-ins of this kind, set by each kind's base class."""
    label: ClassVar[str]
    """What one plug-in of this kind is called in messages, for example 'data set'."""

    @property
    def name(self) -> str:
        """The name that loads this plug-in: its file's name, or the dotted path of outside code."""
        module = type(self).__module__
        if module.rpartition(".")[0] == self.package:
            return module.rpartition(".")[2]
        return f"{module}.{type(self).__qualname__}"


P = TypeVar("P", bound=Plugin)


def names(kind: type[Plugin]) -> list[str]:
    """Names of the bundled plug-ins of a kind, sorted; imports none of them."""
    package = importlib.import_module(kind.package)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(kind: type[P], name: str) -> type[P]:
    """The plug-in class that `name` stands for.

    Raises InputError for a name that is neither bundled nor an importable dotted path.
    """
    if "." not in name:
        if name not in names(kind):
            raise unknown(kind.label, name, names(kind))
        return _only_plugin(kind, importlib.import_module(f"{kind.package}.{name}"))
    target = import_dotted(name, kind.label)
    if isinstance(target, ModuleType):
        return _only_plugin(kind, target)
    if inspect.isclass(target) and issubclass(target, kind):
        return target
    raise InputError(f"{kind.label} '{name}' is not a subclass of {kind.__module__}.{kind.__name__}")


def import_dotted(path: str, label: str) -> Any:
    """The module or the attribute of a module at a dotted path of the user's own code."""
    for split in (path, path.rpartition(".")[0]):
        try:
            module = importlib.import_module(split)
        except ModuleNotFoundError as error:
            if error.name is not None and not split.startswith(error.name):
                raise InputError(f"{label} '{path}' cannot be imported: {error}") from error
            continue
        except ImportError as error:
            raise InputError(f"{label} '{path}' cannot be imported: {error}") from error
        if split == path:
            return module
        attribute = path.rpartition(".")[2]
        if hasattr(module, attribute):
            return getattr(module, attribute)
        public = [n for n in vars(module) if not n.startswith("_")]
        raise unknown(f"attribute of module {split}", attribute, public)
    raise InputError(f"{label} '{path}' cannot be imported: no module of that name on the Python path")


def _only_plugin(kind: type[P], module: ModuleType) -> type[P]:
    found = [
        value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, kind)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    if len(found) != 1:
        raise InputError(
            f"{module.__name__} must hold exactly one public subclass of {kind.__name__}, found {len(found)}"
        )
    return found[0]
