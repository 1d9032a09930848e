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
        typer.Argument(help="run directories, folders of them; or a front, or a search", metavar="DIR..."),
    ],
    x: Annotated[
        Literal["sim_s", "round", "macs", "upload_bytes", "energy_j"],
        typer.Option(help="what the score is drawn against"),
    ] = "sim_s",
    kind: Annotated[
        str,
        typer.Option(
            help="accuracy, timeline, participation, work, clients, classes, to_target, capacity, front or "
            "against"
        ),
    ] = "accuracy",
    band: Annotated[
        Literal["ci", "std", "range", "none"],
        typer.Option(help="around a mean: 95 % interval, standard deviation, all seeds, or nothing"),
    ] = "ci",
    against: Annotated[
        str | None,
        typer.Option(help="draw the final value against a swept key, e.g. changes_per_round", metavar="KEY"),
    ] = None,
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
    when, in the first rounds (timeline); whose work counts (participation); what slow, middle and fast
    devices offered, used and saw counted (work); the scores of clients by device and one by one (clients);
    the accuracy in each class of the test examples (classes); time, MACs, bytes and joules until a target
    (to_target); what one client could do and did (capacity).
    """
    os.environ["MPLBACKEND"] = "agg"  # figures go to files, whatever draws on this user's screen
    from distreal_sim.results.show import front_of
    from distreal_sim.results.show import plot as plot_runs

    one = directories[0] if len(directories) == 1 else None
    is_front = one is not None and front_of(one) is not None
    name = "front" if is_front else "against" if against is not None else kind
    out = out or Path(f"{name}.png")
    plot_runs(one or directories, x, target, metric, out, kind, y, band, against)
    print(out)
