"""Commands that compute: run, search and sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.cli._shared import Config, InterruptedCommandError, Overrides, Quiet, Verbose, say

RayAddress = Annotated[str | None, typer.Option(help="a running Ray cluster to work on, e.g. 127.0.0.1:6379")]

UNWATCHED = "job_timeout_wall_s is not watched"
"""Only a process can be killed that does nothing but one client's job."""


def run(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="run directory", show_default="runs/NAME-METHOD-SEED-CHANGES")
    ] = None,
    grid: Annotated[
        Literal["auto", "serial", "ray"],
        typer.Option(help="clients in this process or as Ray actors; auto: where they are predicted faster"),
    ] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray actors", show_default="number of cores")
    ] = None,
    ray_address: RayAddress = None,
    num_cpus: Annotated[
        int, typer.Option(min=1, help="cores set aside for each Ray actor, which computes with one thread")
    ] = 1,
    num_gpus: Annotated[
        float | None,
        typer.Option(min=0, help="GPUs, or a share of one, for each Ray actor", show_default="equal shares"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in the directory")] = False,
    no_training: Annotated[
        bool, typer.Option("--no-training", help="plan and time every job, and compute nothing")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="check the bookkeeping of every round by other means")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run an experiment; prints the run directory and the final accuracy."""
    from distreal_sim.base.progress import progress_on_stderr
    from distreal_sim.cli._directory import default_directory
    from distreal_sim.config import load_experiment
    from distreal_sim.inspection.console import rounds_shown, summary
    from distreal_sim.run import run as run_experiment

    if ray_address is not None and grid == "serial":
        raise InputError("--ray-address needs --grid ray: the serial grid works in this process only")
    if num_gpus is not None and num_gpus > 1 and not num_gpus.is_integer():
        raise InputError(f"--num-gpus {num_gpus:g}: Ray gives an actor a share of one GPU, or whole ones")
    experiment, notes = load_experiment(config, overrides or [])
    if grid == "serial" and experiment.job_timeout_wall_s is not None:
        notes.append(f"{UNWATCHED} with --grid serial")
    if not quiet:
        say(notes)
    directory = out
    if directory is None:
        directory = default_directory(experiment, overrides or [])
        if not quiet:
            say([f"run directory: {directory}"])
    try:
        with progress_on_stderr(not quiet) as progress:
            run_experiment(
                experiment,
                directory,
                grid=grid,
                n_workers=workers,
                ray_address=ray_address,
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                resume=resume,
                training=not no_training,
                verify=verify,
                on_round=rounds_shown(experiment, progress),
                say=lambda line: say([line]) if verbose else None,
                warn=lambda line: None if quiet else say([line]),
            )
    except KeyboardInterrupt:
        raise InterruptedCommandError from None
    print(summary(directory))


def search(
    config: Annotated[Path, typer.Argument(help="search config, a YAML file", metavar="CONFIG.yaml")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="overrides, e.g. seed=3 experiment.model.width=8; experiment.: of the experiment's config",
            metavar="[KEY=VALUE]...",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="directory", show_default="runs/search-NAME-SEED")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="processes; 1: without Ray, but for a cluster", show_default="number of cores"
        ),
    ] = None,
    ray_address: RayAddress = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the search in the directory")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for a front of dropout vectors; prints how much it beats uniform rates by, and its file."""
    from distreal_sim.base.progress import progress_on_stderr
    from distreal_sim.search.progress import SearchShown, summary
    from distreal_sim.search.run import run_search
    from distreal_sim.search.settings import load_search

    settings, experiment, notes = load_search(config, overrides or [])
    if not quiet:
        say(notes)
    directory = out if out is not None else Path("runs") / f"search-{config.stem}-{settings.seed}"
    try:
        with progress_on_stderr(not quiet) as progress:
            front, comparison = run_search(
                settings,
                experiment,
                directory,
                config=config.stem,
                n_workers=workers,
                ray_address=ray_address,
                resume=resume,
                show=SearchShown(progress),
            )
    except KeyboardInterrupt:
        raise InterruptedCommandError from None
    summary(front, comparison, print)
    print(directory / "front.json")


def sweep(
    config: Annotated[Path, typer.Argument(help="sweep config, a YAML file", metavar="SWEEP.yaml")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="overrides, e.g. rounds=5 seeds=[1,2]; of the experiment's keys or the sweep's",
            metavar="[KEY=VALUE]...",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="directory", show_default="runs/sweep-NAME")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="cells at a time; 1: without Ray, but for a cluster", show_default="number of cores"
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
    from distreal_sim.sweep.run import run_sweep

    settings, cells, notes = load_cells(config, overrides or [])
    if any(cell.experiment.job_timeout_wall_s is not None for cell in cells):
        notes.append(f"{UNWATCHED} in a sweep, whose runs have a process each")
    if not quiet:
        say(notes)
    directory = out if out is not None else Path("runs") / f"sweep-{config.stem}"
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
