"""The command `table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from distreal_sim.base.errors import InputError
from distreal_sim.cli._shared import Metric, Verbose


def table(
    directories: Annotated[
        list[Path], typer.Argument(help="run directories, or folders of them", metavar="DIR...")
    ],
    target: Annotated[list[float] | None, typer.Option(help="accuracy to reach; may be repeated")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            help="method that the others are compared with, seed by seed", show_default="the sweep's"
        ),
    ] = None,
    metric: Metric = "trained",
    last: Annotated[
        int, typer.Option(min=1, help="final accuracy: the mean of so many last evaluations")
    ] = 1,
    csv: Annotated[Path | None, typer.Option(help="also write the table to this CSV file")] = None,
    verbose: Verbose = False,
) -> None:
    """Print time to accuracy per method: mean and 95 % interval over seeds; in a sweep ranks too."""
    from distreal_sim.base.files import write_atomically
    from distreal_sim.results.show import table as table_of_runs
    from distreal_sim.results.table import render, to_csv

    result = table_of_runs(directories, target, baseline, metric, last)
    if csv is not None:
        try:
            write_atomically(csv, to_csv(result).encode())
        except OSError as error:
            raise InputError(f"--csv {csv} cannot be written: {error.strerror}") from None
    render(result, Console(), last)
