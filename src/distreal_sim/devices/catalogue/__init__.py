"""The device catalogue: public facts about boards and phones, a YAML file each."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distreal_sim.base.errors import InputError, unknown

FOLDER = files(__package__)


class Fact(BaseModel):
    """A value with its public source.

    sure: measured by the source; specified by the maker; or derived from specified values, as `note` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0, allow_inf_nan=False)
    source: str = Field(pattern="^https://")
    sure: Literal["measured", "specified", "derived"]
    note: str = ""


class Device(BaseModel):
    """A device; facts without a public source are left out.

    macs_per_s: of dense arithmetic, of which training reaches a part; memory_bytes: main memory;
    memory_bytes_per_s: its bandwidth; power_w: of the whole device at work.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    kind: Literal["board", "phone", "computer"]
    macs_per_s: Fact
    memory_bytes: Fact | None = None
    memory_bytes_per_s: Fact | None = None
    power_w: Fact | None = None


def catalogue() -> list[str]:
    """The names of the bundled devices."""
    return sorted(path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))


def device(name: str, folder: Path | None = None) -> Device:
    """The bundled device of a name, or that of a YAML file, which may be relative to `folder`.

    Raises InputError for a name that there is not, and for a file that is none of a device.
    """
    if not name.endswith((".yaml", ".yml")):
        if name not in catalogue():
            raise InputError(f"{unknown('device', name, catalogue())}, or the path of a YAML file")
        return _bundled(name)
    path = Path(name).expanduser()
    path = path if folder is None else folder / path
    try:
        return Device.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"device file {path} cannot be read: {error.strerror}") from None
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else " ".join(str(error).split())
        raise InputError(f"device file {path}: {why}") from None


@lru_cache
def _bundled(name: str) -> Device:
    return Device.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
