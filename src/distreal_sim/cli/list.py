"""The command `list`."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="methods, models, datasets, ...; without it: what can be listed", metavar="[KIND]"
        ),
    ] = None,
) -> None:
    """List the methods, models, data sets, profiles or fronts that there are, with a sentence on each.

    A pipe gets a line for each.
    """
    from distreal_sim.inspection.listing import kinds, lines

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in kinds() if kind is None else lines(kind, width):
        print(line)
