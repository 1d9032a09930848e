"""The device catalogue: facts about boards and phones, a YAML file each.

Facts of bundled devices are public; a file of `distreal-sim calibrate` has measured ones, and the times of
training steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distreal_sim.base.errors import InputError, unknown

FOLDER = files(__package__)

DEVICE_FILES = (".yaml", ".yml")
"""Suffixes of device files, where a table of measured costs may stand too."""

CALIBRATED = "distreal-sim calibrate"
"""The source of facts that were measured on the device itself."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Fact(BaseModel):
    """A value with its source, a public one or the device's own calibration.

    sure: measured by the source; specified by the maker; or derived from specified values, as `note` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0, allow_inf_nan=False)
    source: str = Field(pattern=f"^(https://|{CALIBRATED})")
    sure: Literal["measured", "specified", "derived"]
    note: str = ""


class Device(BaseModel):
    """A device; facts without a public source are left out.

    macs_per_s: of dense arithmetic, of which training reaches a part; memory_bytes: main memory;
    memory_bytes_per_s: its bandwidth; power_w: of the whole device at work; step_times: of training steps, by
    kind of layer: seconds of a pass, of a MAC, and of a byte that it puts out; made: how they were measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    kind: Literal["board", "phone", "computer"]
    macs_per_s: Fact
    memory_bytes: Fact | None = None
    memory_bytes_per_s: Fact | None = None
    power_w: Fact | None = None
    step_times: Mapping[str, Mapping[Literal["call_s", "mac_s", "byte_s"], Seconds]] = Field(
        default_factory=dict
    )
    made: Mapping[str, Any] = Field(default_factory=dict)


def catalogue() -> list[str]:
    """The names of the bundled devices."""
    return sorted(path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))


def device(name: str, folder: Path | None = None) -> Device:
    """The bundled device of a name, or that of a YAML file, which may be relative to `folder`.

    Raises InputError for a name that there is not, and for a file that is none of a device.
    """
    if not name.endswith(DEVICE_FILES):
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


def calibrated_device(path: Path) -> Device:
    """A device of the user's with times of steps. Raises InputError where it has none."""
    found = device(str(path))
    if not found.step_times:
        raise InputError(
            f"cost {path}: the device has no step_times; `distreal-sim calibrate --out FILE` makes a file "
            "with them"
        )
    return found


@lru_cache
def _bundled(name: str) -> Device:
    return Device.model_validate(yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
