"""The command `plot`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from distreal_sim.cli._shared import Metric, Score, Verbose


def plot(
    directories: Annotated[
        list[Path],
        typer.Argument(help="run directories, or folders of them; or one front file", metavar="DIR..."),
    ],
    x: Annotated[
        Literal["sim_s", "round", "macs", "upload_bytes"],
        typer.Option(help="what the score is drawn against"),
    ] = "sim_s",
    kind: Annotated[
        str, typer.Option(help="accuracy, timeline, participation, capacity or front")
    ] = "accuracy",
    out: Annotated[
        Path | None, typer.Option(help="figure: .png, .pdf or .svg", show_default="KIND.png")
    ] = None,
    target: Annotated[list[float] | None, typer.Option(help="value to mark; may be repeated")] = None,
    metric: Metric = "trained",
    y: Score = None,
    verbose: Verbose = False,
) -> None:
    """Draw accuracy against simulated time, a line per method, mean and 95 % band over seeds; or a front.

    The runs of a sweep get a panel for each of its settings; --y shows another score. Other kinds: who works
    when, in the first rounds (timeline); whose work counts (participation); what one client could do and did
    (capacity).
    """
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever draws on this user's screen
    if len(directories) == 1 and directories[0].suffix == ".json":
        from distreal_sim.results.plots.front import front_file

        out = out or Path("front.png")
        front_file(directories[0], out)
    else:
        from distreal_sim.results.show import plot as plot_runs

        out = out or Path(f"{kind}.png")
        plot_runs(directories, x, target, metric, out, kind, y)
    print(out)
