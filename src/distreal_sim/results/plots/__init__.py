"""Figures, one file each: `plots/x.py` holds `x(runs, ..., out=None) -> Figure`, drawn from tables only.

A figure is built without pyplot, so no backend, window or global setting is touched. `out` (.pdf, .png
or .svg) is written to a temporary name, then renamed; the same tables give the same bytes.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure  # for annotations elsewhere


def names() -> list[str]:
    """Names of the figures, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
