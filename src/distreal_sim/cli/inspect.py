"""The command `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from distreal_sim.cli._shared import Overrides, Verbose, say


def inspect(
    what: Annotated[
        Literal["model", "profile", "link", "availability", "front", "data"],
        typer.Argument(help="what to look at"),
    ],
    config: Annotated[Path, typer.Argument(help="experiment config, or a front file", metavar="CONFIG.yaml")],
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Print a table of the model's layers, the clients' capacity, links or presence, the front, the data."""
    from distreal_sim.config import load_experiment
    from distreal_sim.inspection.tables import inspect_experiment, inspect_front_file

    if what == "front" and config.suffix == ".json":
        inspect_front_file(config, Console())
        return
    experiment, notes = load_experiment(config, overrides or [])
    say(notes)
    inspect_experiment(what, experiment, Console())
