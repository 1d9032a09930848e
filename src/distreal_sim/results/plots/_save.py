"""Style and files of all figures: one look, and the same bytes each time."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from distreal_sim.base.errors import InputError, nearest

LOOK: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: journals reject matplotlib's default Type 3
    "svg.hashsalt": "distreal-sim",  # otherwise element ids are random
}

# No date, no version of the drawing library: a figure changes only when its tables do.
METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
}


def look() -> AbstractContextManager[None]:
    """Settings under which a figure is drawn and saved, whatever the user's own are; restored after."""
    return style.context(["default", LOOK])


def save(figure: Figure, out: Path | None) -> None:
    """Write `figure` to `out`, complete or not at all; nothing when `out` is None.

    Missing directories are made. Raises InputError for a suffix that is not allowed and for a place
    that cannot be written to.
    """
    if out is None:
        return
    suffix = out.suffix.lower()
    if suffix not in METADATA:
        allowed = ", ".join(sorted(METADATA))
        raise InputError(
            f"cannot write {out}: suffix '{out.suffix}'{nearest(suffix, METADATA)} (allowed: {allowed})"
        )
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(unfinished, format=suffix[1:], metadata=METADATA[suffix])
            unfinished.replace(out)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write the figure {out}: {error.strerror or error}") from None
