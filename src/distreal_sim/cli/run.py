"""The command `run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from distreal_sim.base.errors import InputError
from distreal_sim.cli._shared import (
    UNWATCHED,
    Config,
    InterruptedCommandError,
    Overrides,
    Quiet,
    RayAddress,
    Verbose,
    say,
)


def run(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="run directory", show_default="runs/NAME-METHOD-SEED-CHANGES")
    ] = None,
    grid: Annotated[
        Literal["auto", "serial", "ray"],
        typer.Option(help="clients in this process or as Ray actors; auto: by how much work there is"),
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
    resume: Annotated[
        bool, typer.Option("--resume", help="resume the run in the directory; with more rounds, extend it")
    ] = False,
    no_training: Annotated[
        bool, typer.Option("--no-training", help="simulate timing only; skip training")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="check the bookkeeping of every round by other means")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run an experiment; prints the run directory and the final accuracy."""
    from distreal_sim.config import load_experiment
    from distreal_sim.config.place import default_directory
    from distreal_sim.inspection.console import summary
    from distreal_sim.run import run as run_experiment

    if ray_address is not None and grid == "serial":
        raise InputError("--ray-address needs --grid ray: the serial grid works in this process only")
    if num_gpus is not None and num_gpus > 1 and not num_gpus.is_integer():
        raise InputError(f"--num-gpus {num_gpus:g}: Ray gives an actor a share of one GPU, or whole ones")
    experiment, notes = load_experiment(config, overrides or [])
    if grid == "serial" and experiment.job_timeout_wall_s is not None:
        notes.append(f"{UNWATCHED} with --grid serial")
    directory = out
    if directory is None:
        directory = default_directory(experiment, overrides or [], resume=resume)
        notes.append(f"run directory: {directory}")
    if not quiet:
        say(notes)
    try:
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
            progress=not quiet,
            say=lambda line: say([line]) if verbose else None,
            warn=lambda line: None if quiet else say([line]),
        )
    except KeyboardInterrupt:
        raise InterruptedCommandError from None
    print(summary(directory))
