"""The command `search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distreal_sim.cli._shared import InterruptedCommandError, Quiet, RayAddress, Verbose, say


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
            min=1,
            help="processes; 1: this one, without Ray unless on a cluster",
            show_default="number of cores",
        ),
    ] = None,
    ray_address: RayAddress = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume the search in the directory")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for a front of dropout vectors, or measure a given one (front=...); prints what it is worth,
    where thinning pays, and its file.
    """
    from distreal_sim.base.progress import progress_on_stderr
    from distreal_sim.search.progress import SearchShown, summary
    from distreal_sim.search.run import default_directory, run_search
    from distreal_sim.search.settings import load_search

    settings, experiment, notes = load_search(config, overrides or [])
    if not quiet:
        say(notes)
    directory = out if out is not None else default_directory(config.stem, settings)
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
