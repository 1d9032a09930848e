"""The command `demo`: a bundled sweep, its table and its figure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from distreal_sim.cli._shared import Quiet, SweepOverrides, Verbose, say
from distreal_sim.cli.plot import plot
from distreal_sim.cli.sweep import sweep
from distreal_sim.cli.table import table


def demo(
    overrides: SweepOverrides = None,
    out: Annotated[Path, typer.Option(help="directory of the runs, the table and the figure")] = Path(
        "runs/demo"
    ),
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="runs at a time; 1: in this process, without Ray", show_default="number of cores"
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare DISTREAL with its rivals on handwritten digits: runs, table and figure (about 3 minutes)."""
    from distreal_sim.base.files import write_atomically
    from distreal_sim.results.directories import find_runs
    from distreal_sim.sweep.demo import EXPERIMENT, N_LAST, SWEEP, curves, verdict
    from distreal_sim.sweep.settings import load_sweep

    settings = load_sweep(SWEEP, overrides or [])
    if not quiet:
        methods, seeds = ", ".join(settings.grid.get("method", ())), ", ".join(map(str, settings.seeds))
        say([f"methods {methods}; seeds {seeds}; runs in {out}"])
    sweep(SWEEP, overrides, out, workers, quiet=quiet)
    shutil.copyfile(EXPERIMENT, out / EXPERIMENT.name)
    table([out], last=N_LAST, csv=out / "table.csv")
    runs = find_runs([out], n_last=N_LAST)
    write_atomically(out / "curves.csv", curves(runs).to_csv(index=False, float_format="%.6g").encode())
    for line in verdict(runs, max(settings.targets, default=0.9)):
        print(line)
    plot([out], out=out / "accuracy.png")
    print(f"to go on: distreal-sim run {out / EXPERIMENT.name} method.name=fjord")
