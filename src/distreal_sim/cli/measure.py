"""The command `measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distreal_sim.cli._shared import Overrides, Verbose, check_writable, say


def measure(
    config: Annotated[
        Path, typer.Argument(help="experiment or sweep config, a YAML file", metavar="CONFIG.yaml")
    ],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="file of the measured costs")] = Path("cost.json"),
    verbose: Verbose = False,
) -> None:
    """Time the training steps of a config's method on this machine: a file for the key `cost`.

    Of a sweep: those of all its methods. Prints each level's share of the full step's MACs and of its time.
    """
    from distreal_sim.config import kind_of, load_experiment, read_yaml
    from distreal_sim.inspection.costs import print_costs
    from distreal_sim.inspection.timing import measured

    if kind_of(read_yaml(config)) == "sweep":
        from distreal_sim.sweep.cells import load_cells

        _, cells, notes = load_cells(config, overrides or [])
        experiments = [cell.experiment for cell in cells]
    else:
        experiment, notes = load_experiment(config, overrides or [])
        experiments = [experiment]
    say(notes)
    check_writable(out, "--out")
    table = measured(experiments)
    table.save(out)
    print_costs(table, Console())
    print(out)
