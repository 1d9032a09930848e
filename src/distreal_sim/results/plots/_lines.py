"""How a method looks: its colour, line and marker, the same in every figure.

The first colours: Okabe and Ito, "Color universal design" (2008), readable with any colour blindness; its
yellow is replaced by grey, which shows on white. There are not many that everybody can tell apart, so line
and marker differ too, also for print without colour.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from distreal_sim.results.runs import Run

_COLOURS = (
    "#D55E00", "#000000", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#882255",
    "#332288", "#666600", "#8C564B", "#17BECF", "#8CC152", "#E7298A", "#A6761D", "#7B3294", "#1B5E20",
    "#B22222", "#4B6A9B", "#C2A5CF",
)  # fmt: skip
_OWN_COLOURS = (
    "#AA4499", "#44AA99", "#B8B000", "#CC6677", "#661100", "#4477AA", "#FF6F61", "#5D8AA8", "#9C27B0",
    "#6D4C41",
)  # fmt: skip
"""Of methods that are not known here."""

_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.2, 1.2, 1.2)), (0, (1.5, 1.2)))
_MARKERS = (("o", 5.0), ("s", 4.5), ("^", 5.5), ("D", 4.5), ("v", 5.5), ("P", 6.5), ("X", 6.5), ("*", 8.5))

# The place in this list decides the look, so that no two of these look alike; add new ones at the end.
_KNOWN = (
    "distreal", "fedavg", "small", "heterofl", "fjord", "fedrolex", "federated_dropout", "fedprox",
    "fednova", "cocofl", "slt", "depthfl", "adalearner", "astraea", "fiarse", "flexfl",
    "inclusivefl", "fedel", "folb", "model_averaging", "ts_fl",
)  # fmt: skip


def method_line(method: str) -> tuple[str, int, int]:
    """(colour, index of the line style, index of the marker); depends on nothing but the name.

    No two methods of this package have the same colour.
    """
    if method in _KNOWN:
        place = _KNOWN.index(method)
        lap = place // 8
        return _COLOURS[place], (place + lap) % len(_LINES), (place + 3 * lap) % len(_MARKERS)
    digest = zlib.crc32(method.encode())
    colour = _OWN_COLOURS[digest % len(_OWN_COLOURS)]
    return colour, digest // 16 % len(_LINES), digest // 64 % len(_MARKERS)


def label_lines(groups: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, Any]]:
    """Line keywords for matplotlib by label: labels of one method share its colour, getting paler."""
    by_method: dict[str, list[str]] = {}
    for label, runs in groups.items():
        by_method.setdefault(runs[0].method, []).append(label)
    lines = {}
    own = _distinct([method for method in by_method if method not in _KNOWN])
    for method, labels in by_method.items():
        colour, line, marker = method_line(method)
        colour = own.get(method, colour)
        for place, label in enumerate(labels):
            shape, points = _MARKERS[(marker + place) % len(_MARKERS)]
            lines[label] = {
                "color": _paler(colour, 0.65 * place / len(labels)),
                "linestyle": _LINES[(line + place) % len(_LINES)],
                "marker": shape,
                "markersize": points,
            }
    return lines


def _distinct(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each of the methods that are not known, another one than its own where that is taken."""
    found: dict[str, str] = {}
    for method in sorted(methods):
        first = _OWN_COLOURS.index(method_line(method)[0])
        turned = [*_OWN_COLOURS[first:], *_OWN_COLOURS[:first]]
        found[method] = next((colour for colour in turned if colour not in found.values()), turned[0])
    return found


def _paler(colour: str, share: float) -> str:
    red, green, blue = (channel + share * (1 - channel) for channel in to_rgb(colour))
    return to_hex((red, green, blue))
