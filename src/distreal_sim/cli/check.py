"""The command `check`."""

from __future__ import annotations

from rich.console import Console

from distreal_sim.cli._shared import Config, Overrides, Verbose, say


def check(config: Config, overrides: Overrides = None, verbose: Verbose = False) -> None:
    """Validate a config and print what would run: clients, costs, simulated and estimated wall time.

    Of a sweep file: validate every cell and print a table of them.
    """
    from distreal_sim.base.errors import naming
    from distreal_sim.config import kind_of, load_experiment, read_yaml
    from distreal_sim.inspection.check import print_check

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
        print_check(experiment, Console())
