"""The command `table`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from distreal_sim.base.errors import InputError
from distreal_sim.cli._shared import Metric, Score, Verbose


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
    y: Score = None,
    last: Annotated[
        int, typer.Option(min=1, help="final accuracy: the mean of so many last evaluations")
    ] = 1,
    csv: Annotated[Path | None, typer.Option(help="also write the table to this CSV file")] = None,
    form: Annotated[
        Literal["text", "csv", "markdown", "latex"],
        typer.Option("--format", help="of what is printed; csv has every column and digit"),
    ] = "text",
    protocol: Annotated[
        Literal["quality", "cost", "robust"] | None,
        typer.Option(
            help="best accuracy within --budget; costs to --target; or what is kept of the accuracy in other "
            "settings than --nominal"
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(help="for quality, COST=LIMIT, e.g. sim_s=3600 or macs=1e12; may be repeated"),
    ] = None,
    hold: Annotated[
        int, typer.Option(min=1, help="for cost and robust: evaluations in a row that must have the target")
    ] = 2,
    nominal: Annotated[
        str | None, typer.Option(help="for robust: the sweep's setting to compare with, e.g. spread=0.1")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Print time to accuracy per method: mean and 95 % interval over seeds; in a sweep ranks too."""
    from distreal_sim.base.files import write_atomically
    from distreal_sim.results.protocol_table import formatted as in_form
    from distreal_sim.results.protocol_table import render as render_protocol
    from distreal_sim.results.show import judge
    from distreal_sim.results.show import table as table_of_runs
    from distreal_sim.results.table import formatted, render, to_csv

    title = ""
    if protocol is None:
        result = table_of_runs(directories, target, baseline, metric, last, y)
    else:
        result, title = judge(
            directories, protocol, budget or [], target, hold, baseline, nominal, metric, last, y
        )
    if csv is not None:
        try:
            write_atomically(csv, to_csv(result).encode())
        except OSError as error:
            raise InputError(f"--csv {csv} cannot be written: {error.strerror}") from None
    if form != "text":
        text = formatted(result, form, last) if protocol is None else in_form(result, title, form)
        print(text, end="")
    elif protocol is None:
        render(result, Console(), last)
    else:
        render_protocol(result, title, Console())
