"""The command `sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distreal_sim.base.errors import RunError
from distreal_sim.cli._shared import (
    UNWATCHED,
    InterruptedCommandError,
    Quiet,
    RayAddress,
    SweepOverrides,
    Verbose,
    say,
)


def sweep(
    config: Annotated[Path, typer.Argument(help="sweep config, a YAML file", metavar="SWEEP.yaml")],
    overrides: SweepOverrides = None,
    out: Annotated[Path | None, typer.Option(help="directory", show_default="runs/sweep-NAME")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="cells at a time; 1: in this process, without Ray unless on a cluster",
            show_default="number of cores",
        ),
    ] = None,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run an experiment for every combination of values and seeds; what is finished already is skipped."""
    from distreal_sim.base.progress import progress_on_stderr
    from distreal_sim.sweep.cells import load_cells
    from distreal_sim.sweep.progress import SweepShown
    from distreal_sim.sweep.run import default_directory, run_sweep

    settings, cells, notes = load_cells(config, overrides or [])
    if any(cell.experiment.job_timeout_wall_s is not None for cell in cells):
        notes.append(f"{UNWATCHED} in a sweep, whose runs have a process each")
    if not quiet:
        say(notes)
    directory = out if out is not None else default_directory(config.stem)
    try:
        with progress_on_stderr(not quiet) as progress:
            outcome = run_sweep(
                settings,
                cells,
                directory,
                n_workers=workers,
                ray_address=ray_address,
                show=SweepShown(progress),
                say=lambda line: None if quiet else say([line]),
                warn=lambda line: None if quiet else say([line]),
            )
    except KeyboardInterrupt:
        raise InterruptedCommandError("the same command goes on where it stopped") from None
    for cell, failure in outcome.failures:
        say([f"failed: {cell.name}: {failure.message}"])
    if outcome.failures:
        raise RunError(
            f"{len(outcome.failures)} of {outcome.n_cells} cells failed; the same command tries them again "
            f"(tracebacks: {directory / 'errors'})"
        )
    print(f"{directory / 'sweep.csv'}: {outcome.n_cells} cells, {outcome.n_before} of them finished before")
