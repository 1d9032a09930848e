"""Commands that show what came out: plot and table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from distreal_sim.base.errors import InputError
from distreal_sim.cli._shared import Verbose

if TYPE_CHECKING:
    from distreal_sim.results.runs import Run

Metric = Annotated[
    Literal["trained", "full"],
    typer.Option(
        help="accuracy of the largest part of the network that was trained so far, or of the whole network"
    ),
]


def plot(
    directories: Annotated[
        list[Path],
        typer.Argument(help="run directories, or folders of them; or one front file", metavar="DIR..."),
    ],
    x: Annotated[
        Literal["sim_s", "round", "macs", "upload_bytes"],
        typer.Option(help="what the accuracy is drawn against"),
    ] = "sim_s",
    out: Annotated[
        Path | None, typer.Option(help="figure: .png, .pdf or .svg", show_default="accuracy.png or front.png")
    ] = None,
    target: Annotated[list[float] | None, typer.Option(help="accuracy to mark; may be repeated")] = None,
    metric: Metric = "trained",
    verbose: Verbose = False,
) -> None:
    """Draw accuracy against simulated time, a line per method, mean and 95 % band over seeds; or a front.

    The runs of a sweep get a panel for each of its settings.
    """
    if len(directories) == 1 and directories[0].suffix == ".json":
        os.environ["MPLBACKEND"] = "agg"  # as in `draw`
        from distreal_sim.results.plots.front import front_file

        out = out or Path("front.png")
        front_file(directories[0], out)
    else:
        from distreal_sim.results.runs import find_runs

        out = out or Path("accuracy.png")
        draw(find_runs(directories, metric), x, target, out)
    print(out)


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
    from distreal_sim.results.runs import find_runs

    show(find_runs(directories, metric, last), target, baseline, last, csv)


def draw(
    runs: list[Run],
    x: Literal["sim_s", "round", "macs", "upload_bytes"],
    target: list[float] | None,
    out: Path,
) -> None:
    """The figure of the plot command. target: the sweep's where none is given."""
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever draws on this user's screen
    from distreal_sim.results.plots.accuracy import accuracy

    place = runs[0].place
    accuracy(runs, x=x, targets=target or (place.targets if place is not None else ()), out=out)


def show(
    runs: list[Run], target: list[float] | None, baseline: str | None, last: int, csv: Path | None
) -> None:
    """Prints what the table command prints. Raises InputError where the CSV file cannot be written."""
    from distreal_sim.base.files import write_atomically
    from distreal_sim.results.compare import compare
    from distreal_sim.results.statistics import time_to_accuracy
    from distreal_sim.results.table import render, to_csv

    if baseline is not None or runs[0].place is not None:
        result = compare(runs, target or None, baseline)
    else:
        result = time_to_accuracy(runs, target or None)
    if csv is not None:
        try:
            write_atomically(csv, to_csv(result).encode())
        except OSError as error:
            raise InputError(f"--csv {csv} cannot be written: {error.strerror}") from None
    render(result, Console(), last)
