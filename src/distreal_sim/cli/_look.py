"""Commands that look before anything runs: check, inspect and schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from distreal_sim.cli._shared import Config, Overrides, Verbose, say


def check(config: Config, overrides: Overrides = None, verbose: Verbose = False) -> None:
    """Validate a config and print what would run: clients, costs, simulated and estimated wall time.

    Of a sweep file: validate every cell and print a table of them.
    """
    from distreal_sim.base.errors import naming
    from distreal_sim.config import kind_of, load_experiment, read_yaml
    from distreal_sim.inspection.plan import print_plan

    if kind_of(read_yaml(config)) == "sweep":
        from distreal_sim.sweep.cells import load_cells
        from distreal_sim.sweep.preview import print_cells

        _, cells, notes = load_cells(config, overrides or [])
        say(notes)
        print_cells(cells, Console())
        return
    experiment, notes = load_experiment(config, overrides or [])
    say(notes)
    with naming("check"):
        print_plan(experiment, Console())


def inspect(
    what: Annotated[Literal["model", "profile", "front", "data"], typer.Argument(help="what to look at")],
    config: Annotated[Path, typer.Argument(help="experiment config, or a front file", metavar="CONFIG.yaml")],
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Print a table of the model's layers, the clients' capacities, the front, or the data's partition."""
    from distreal_sim.config import load_experiment
    from distreal_sim.inspection.tables import inspect_experiment, inspect_front_file

    if what == "front" and config.suffix == ".json":
        inspect_front_file(config, Console())
        return
    experiment, notes = load_experiment(config, overrides or [])
    say(notes)
    inspect_experiment(what, experiment, Console())


def schema() -> None:
    """Print the JSON schema of experiment configs, for editors."""
    from distreal_sim.config import json_schema

    print(json.dumps(json_schema(), indent=1))
