"""Files of measured costs: read and checked."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from distreal_sim.base.errors import InputError
from distreal_sim.thinning.measured.table import FORMAT, CostTable, LevelKey, Setting, TimedLevel
from distreal_sim.thinning.structure import MemoryFormat, Precision

MAX_DECIMALS = 12
"""Decimal places of a time share: as many as a float of its size holds exactly."""


def read_costs(path: Path) -> CostTable:
    """Reads a table of measured costs. Raises InputError, one line, if the file is none or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}, this version reads {FORMAT}")
        levels = tuple(_level(number, own) for number, own in enumerate(data["levels"], 1))
        made = json.loads(json.dumps(data["made"], default=float))
        table = CostTable(levels, dict(made))
    except FileNotFoundError:
        raise InputError(
            f"cost {path}: no such file; cost is macs, measured, or a file that exists"
        ) from None
    except KeyError as error:
        raise InputError(f"cost {path} is not a file of measured costs: key {error} is missing") from None
    except (OSError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise InputError(f"cost {path} is not a file of measured costs, or damaged: {error}") from None
    if not levels:
        raise InputError(f"cost {path} is not a file of measured costs: it has no levels")
    if len(table.by_key) < len(levels):
        raise InputError(f"cost {path} is damaged: it has two measurements of the same level")
    return table


def _level(number: int, own: Mapping[str, Any]) -> TimedLevel:
    """One level of a file. Raises ValueError naming what is wrong."""
    where = f"level {number}"
    if own["memory_format"] not in get_args(MemoryFormat) or own["precision"] not in get_args(Precision):
        raise ValueError(f"{where}: memory_format {own['memory_format']}, precision {own['precision']}")
    if not isinstance(own["redrawn"], bool):
        raise ValueError(f"{where}: redrawn ({own['redrawn']!r}) must be true or false")
    setting = Setting(
        operator.index(own["batch_size"]), str(own["optimizer"]), own["memory_format"], own["precision"]
    )
    trained = None if own["trained"] is None else str(own["trained"])
    kept = tuple(operator.index(n) for n in own["kept"])
    key = LevelKey(str(own["model"]), str(own["network"]), kept, own["redrawn"], trained, setting)
    return TimedLevel(
        key,
        operator.index(own["macs_per_example"]),
        float(own["macs_share"]),
        _share(where, own["time_share"]),
        float(own["low"]),
        float(own["high"]),
        float(own["step_wall_s"]),
    )


def _share(where: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        raise ValueError(f"{where}: time_share ({value!r}) must be a number")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{where}: time_share ({value}) must be greater than 0")
    share = Decimal(value)
    exponent = share.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_DECIMALS:
        raise ValueError(f"{where}: time_share ({value}) has more than {MAX_DECIMALS} decimal places")
    return share
