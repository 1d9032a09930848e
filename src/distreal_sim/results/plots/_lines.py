"""How a method looks: its colour, line and marker, the same in every figure.

Colours: Okabe and Ito, "Color universal design" (2008), readable with any colour blindness; its yellow
is replaced by grey, which shows on white. Line and marker differ too, for print without colour.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from distreal_sim.results.runs import Run

_COLOURS = ("#D55E00", "#000000", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1.2, 1.2)), (0, (1.5, 1.2)))
_MARKERS = (("o", 5.0), ("s", 4.5), ("^", 5.5), ("D", 4.5), ("v", 5.5), ("P", 6.5), ("X", 6.5), ("*", 8.5))

# The place in this list decides the look, so that no two of these look alike; add new ones at the end.
_KNOWN = (
    "distreal", "fedavg", "small", "heterofl", "fjord", "fedrolex", "federated_dropout", "fedprox",
    "fednova", "cocofl", "slt", "depthfl", "nefl", "split_mix", "fiarse", "scalefl",
)  # fmt: skip


def method_line(method: str) -> tuple[str, int, int]:
    """(colour, index of the line style, index of the marker); depends on nothing but the name."""
    if method in _KNOWN:
        place = _KNOWN.index(method)
        lap = place // len(_COLOURS)
        return _COLOURS[place % len(_COLOURS)], (place + lap) % len(_LINES), (place + 3 * lap) % len(_MARKERS)
    digest = zlib.crc32(method.encode())
    return _COLOURS[digest % 8], digest // 8 % len(_LINES), digest // 32 % len(_MARKERS)


def label_lines(groups: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, Any]]:
    """Line keywords for matplotlib by label: labels of one method share its colour, getting paler."""
    by_method: dict[str, list[str]] = {}
    for label, runs in groups.items():
        by_method.setdefault(runs[0].method, []).append(label)
    lines = {}
    for method, labels in by_method.items():
        colour, line, marker = method_line(method)
        for place, label in enumerate(labels):
            shape, points = _MARKERS[(marker + place) % len(_MARKERS)]
            lines[label] = {
                "color": _paler(colour, 0.65 * place / len(labels)),
                "linestyle": _LINES[(line + place) % len(_LINES)],
                "marker": shape,
                "markersize": points,
            }
    return lines


def _paler(colour: str, share: float) -> str:
    red, green, blue = (channel + share * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))
