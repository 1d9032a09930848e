"""Axis units: the largest one in which the numbers stay readable."""

from __future__ import annotations

_TIMES = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SI = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}

_OF_KEYS = {
    "_macs_per_s": "MAC/s",
    "_bytes_per_s": "bytes/s",
    "_bytes": "bytes",
    "_s": "s",
    "_h": "h",
    "_hz": "Hz",
    "_j": "J",
    "_w": "W",
}
"""Ends of config keys, longer ones first, and the units that they stand for."""


def in_words(key: str) -> str:
    """A config key as the name of an axis: 'Deadline (s)', 'Changes per round'."""
    for end, unit in _OF_KEYS.items():
        if key.endswith(end) and key != end:
            return f"{in_words(key.removesuffix(end))} ({unit})"
    return key.replace("_", " ").capitalize()


def time_unit(largest_s: float) -> tuple[float, str]:
    """(seconds per unit, name): min, h and d from three of them on."""
    return _largest({name: size for name, size in _TIMES.items() if size == 1 or largest_s >= 3 * size})


def si_unit(largest: float, unit: str) -> tuple[float, str]:
    """(size, prefixed name): `si_unit(5e12, "MAC")` is (1e12, "TMAC"). Bytes are decimal: kB is 1000 B."""
    return _largest({prefix + unit: size for prefix, size in _SI.items() if size == 1 or largest >= size})


def _largest(units: dict[str, float]) -> tuple[float, str]:
    name = max(units, key=units.__getitem__)
    return units[name], name
