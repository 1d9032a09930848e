"""The command `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distreal_sim.cli._shared import Overrides, Verbose, say


def plan(
    config: Annotated[
        Path, typer.Argument(help="experiment or sweep config, a YAML file", metavar="CONFIG.yaml")
    ],
    overrides: Overrides = None,
    methods: Annotated[
        str,
        typer.Option(
            help="methods instead of the experiment's own, with default options, e.g. distreal,fedavg",
            metavar="NAME,NAME,...",
        ),
    ] = "",
    completion: Annotated[
        float, typer.Option(help="share of clients for which a deadline is looked for")
    ] = 0.9,
    out: Annotated[
        Path | None,
        typer.Option(help="directory for the tables, as of runs", show_default="they are not kept"),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Replay devices and the choices of methods without training, side by side.

    Prints who completes, what is offered, used and counted, which sub-networks are picked, and the deadline
    with which most clients complete. Of a sweep: every cell.
    """
    from distreal_sim.planning.plan import experiments_of, make_plan

    names = [name.strip() for name in methods.split(",") if name.strip()]
    experiments, notes = experiments_of(config, overrides or [], names)
    say(notes)
    make_plan(experiments, out, completion).print(Console())
