"""The bundled fronts: a JSON file each, made by a config in configs/search/, and found by its purpose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo

from distreal_sim.base.errors import unknown
from distreal_sim.fronts.file import read_front
from distreal_sim.fronts.front import Front

FOLDER = Path(__file__).parent
"""Where they are."""

METHOD_OPTIONS = ("drop_linear", "filters", "scaling")
"""Options of the method that must be those of the search; the others change how clients train, not what."""


class BundledFront(BaseModel):
    """A front of this package, by its name.

    content: identifies the front that was used, so that a config always means the same one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundled: str = Field(description="name of a front of this package")
    content: str | None = Field(None, description="16 hex digits that identify its vectors; filled in")


def names() -> list[str]:
    """Names of the bundled fronts, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def path_of(name: str) -> Path:
    """The file of a bundled front. Raises InputError for a name that is none."""
    if name not in names():
        raise unknown("bundled front", name, names())
    return FOLDER / f"{name}.json"


def find(model: Mapping[str, Any], dataset: Mapping[str, Any], method: Mapping[str, Any]) -> str | None:
    """The front that was searched for just this model, data set and way of thinning; None if there is none.

    The arguments are plug-ins as plain values, `name` among them. Files are called MODEL-DATASET.json, with
    -SOMETHING at the end where several differ in the method's options. A front for other data is never taken:
    the cost and the speed of learning of a layer depend on them.
    """
    known_as = f"{model['name']}-{dataset['name']}"
    for name in names():
        if name == known_as or name.startswith(f"{known_as}-"):
            made_for = read_front(FOLDER / f"{name}.json").made["experiment"]
            if (
                made_for["model"] == dict(model)
                and same_data(made_for["dataset"]) == same_data(dataset)
                and all(made_for["method"][key] == method.get(key) for key in METHOD_OPTIONS)
            ):
                return name
    return None


def pinned(name: str) -> BundledFront:
    """A bundled front and its content. Raises InputError for a name that is none."""
    return BundledFront(bundled=name, content=read_front(path_of(name)).content)


def available(front: Any, info: ValidationInfo) -> Any:
    """Validator: a bundled front that this version no longer has is read from front.json next to the config.

    That is the run's own copy. Anything but a BundledFront is passed on. Raises ValueError if there is none.
    """
    if not isinstance(front, BundledFront):
        return front
    here = read_front(FOLDER / f"{front.bundled}.json").content if front.bundled in names() else None
    if here is not None and front.content in (None, here):
        return front
    base = (info.context or {}).get("base_dir")
    copy = Path(base).resolve() / "front.json" if base is not None else None
    if front.content and copy is not None and copy.exists() and read_front(copy).content == front.content:
        return copy
    if front.content is None:
        raise ValueError(str(unknown("bundled front", front.bundled, names())))
    raise ValueError(
        f"the bundled front {front.bundled} of content {front.content} is not in this version"
        f"{f', which has {here}' if here else ''}; give the front.json of the run as method.front"
    )


def annotated(front: Front, name: str) -> Front:
    """The front, which says by which name it is bundled."""
    return Front(front.entries, front.model, front.groups, {"bundled": name, **front.made})


def same_data(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Options that distinguish data sets: not the place of the files, nor the share held out."""
    return {key: value for key, value in dataset.items() if key not in ("data_dir", "validation")}
