"""The command `list`."""

from __future__ import annotations

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
    """List the methods, models, data sets, profiles or fronts that there are, one line each."""
    from distreal_sim.inspection.listing import kinds, lines

    for line in kinds() if kind is None else lines(kind):
        print(line)
