"""Values of a config: the folder of relative paths, and no boolean in place of a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic_core import PydanticCustomError


class Located(str):
    """Text of which a relative path begins at `folder`, not at the config file."""

    folder: Path


def located(value: Any, folder: Path) -> Any:
    """The value with every text in it Located."""
    if isinstance(value, str):
        text = Located(value)
        text.folder = folder
        return text
    if isinstance(value, Mapping):
        return {key: located(inner, folder) for key, inner in value.items()}
    return [located(inner, folder) for inner in value] if isinstance(value, list) else value


def folder_of(value: Any) -> Path | None:
    """The folder of the first Located text in the value, if there is one."""
    if isinstance(value, Located):
        return value.folder
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((folder for v in inner if (folder := folder_of(v)) is not None), None)


def plain(value: Any) -> Any:
    """The value with ordinary texts in place of Located ones."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Located) else value


def _against_folder(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Path:
    path: Path = read(value)
    base = value.folder if isinstance(value, Located) else (info.context or {}).get("base_dir")
    return (Path(base) / path.expanduser()).resolve() if base is not None else path


ConfigPath = Annotated[Path, WrapValidator(_against_folder)]
"""A path in a config: a relative one begins at the folder of the config file, on the command line at the
working directory."""


class ConfigModel(BaseModel):
    """Base of all blocks of a config; true and false are no numbers, although Python takes them for some."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if _has_boolean(value):
            kinds = list(_parts(cls.model_fields[str(info.field_name)].annotation))
            if (int in kinds or float in kinds) and not any(kind in kinds for kind in (bool, Any, BaseModel)):
                one = "a number" if float in kinds else "a whole number"
                wanted = one if isinstance(value, bool) else "numbers, not true or false"
                raise PydanticCustomError("boolean_for_number", wanted)
        return value


def _has_boolean(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_boolean, value.values()))
    return any(map(_has_boolean, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of; BaseModel for any model, which looks at its own fields."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    yield BaseModel if is_model else bool if isinstance(annotation, bool) else annotation
    parts = get_args(annotation)
    for part in parts[:1] if get_origin(annotation) is Annotated else parts:
        yield from _parts(part)
