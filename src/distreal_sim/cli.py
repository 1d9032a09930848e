"""The command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from distreal_sim.errors import InputError, RunError

app = typer.Typer(
    help="Simulates federated learning on devices whose compute budget is small, unequal and changing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Argument(help="experiment config, a YAML file", metavar="CONFIG.yaml")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="overrides, e.g. method.name=fedavg seed=3", metavar="[KEY=VALUE]..."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress bar, no notes")]
Verbose = Annotated[bool, typer.Option("--verbose", help="a traceback with every error")]


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="run directory [default: runs/NAME-METHOD-SEED]")] = None,
    grid: Annotated[
        Literal["auto", "serial", "ray"],
        typer.Option(help="clients in this process or as Ray actors; auto: where they are predicted faster"),
    ] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Ray actors [default: number of cores]")] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="a running Ray cluster to work on, e.g. 127.0.0.1:6379")
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
    from distreal_sim.config import load_experiment
    from distreal_sim.console import progress_bar, summary
    from distreal_sim.run import run as run_experiment

    if ray_address is not None and grid == "serial":
        raise InputError("--ray-address needs --grid ray: the serial grid works in this process only")
    experiment, notes = load_experiment(config, overrides or [])
    if not quiet:
        _say(notes)
    name = f"{experiment.name}-{experiment.method.name}-{experiment.seed}"
    directory = out if out is not None else Path("runs") / name
    try:
        with progress_bar(experiment, quiet) as on_round:
            run_experiment(
                experiment,
                directory,
                grid=grid,
                n_workers=workers,
                ray_address=ray_address,
                resume=resume,
                training=not no_training,
                verify=verify,
                on_round=on_round,
                say=lambda line: _say([line]) if verbose else None,
            )
    except KeyboardInterrupt:
        raise _InterruptedError from None
    print(summary(directory))


@app.command()
def search(
    config: Annotated[Path, typer.Argument(help="search config, a YAML file", metavar="CONFIG.yaml")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="overrides, e.g. seed=3 experiment.model.width=8; experiment.: of the experiment's config",
            metavar="[KEY=VALUE]...",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="directory [default: runs/search-NAME-SEED]")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes [default: number of cores]; 1: without Ray")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the search in the directory")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Search for a front of dropout vectors; prints how much it beats uniform rates by, and its file."""
    from distreal_sim.search.progress import progress_bar, summary
    from distreal_sim.search.run import run_search
    from distreal_sim.search.settings import load_search

    settings, experiment, notes = load_search(config, overrides or [])
    if not quiet:
        _say(notes)
    directory = out if out is not None else Path("runs") / f"search-{config.stem}-{settings.seed}"
    try:
        with progress_bar(settings, quiet) as show:
            front, comparison = run_search(
                settings,
                experiment,
                directory,
                config=config.stem,
                n_workers=workers,
                resume=resume,
                show=show,
            )
    except KeyboardInterrupt:
        raise _InterruptedError from None
    summary(front, comparison, print)
    print(directory / "front.json")


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="sweep config, a YAML file", metavar="SWEEP.yaml")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="overrides, e.g. rounds=5 seeds=[1,2]; of the experiment's keys or the sweep's",
            metavar="[KEY=VALUE]...",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="directory [default: runs/sweep-NAME]")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="cells at a time [default: number of cores]; 1: without Ray"),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run an experiment for every combination of values and seeds; what is finished already is skipped."""
    from distreal_sim.sweep.cells import load_cells
    from distreal_sim.sweep.progress import progress_bar
    from distreal_sim.sweep.run import run_sweep

    settings, cells, notes = load_cells(config, overrides or [])
    if not quiet:
        _say(notes)
    directory = out if out is not None else Path("runs") / f"sweep-{config.stem}"
    try:
        with progress_bar(quiet) as show:
            outcome = run_sweep(
                settings,
                cells,
                directory,
                n_workers=workers,
                show=show,
                say=lambda line: None if quiet else _say([line]),
            )
    except KeyboardInterrupt:
        raise _InterruptedError("the same command goes on where it stopped") from None
    for cell, failure in outcome.failures:
        _say([f"failed: {cell.name}: {failure.message}"])
    if outcome.failures:
        raise RunError(
            f"{len(outcome.failures)} of {outcome.n_cells} cells failed; the same command tries them again "
            f"(tracebacks: {directory / 'errors'})"
        )
    print(f"{directory / 'sweep.csv'}: {outcome.n_cells} cells, {outcome.n_before} of them finished before")


@app.command()
def check(config: Config, overrides: Overrides = None, verbose: Verbose = False) -> None:
    """Validate a config and print what would run: clients, costs, simulated and estimated wall time."""
    from distreal_sim.config import load_experiment
    from distreal_sim.plan import print_plan

    experiment, notes = load_experiment(config, overrides or [])
    _say(notes)
    print_plan(experiment, Console())


@app.command()
def inspect(
    what: Annotated[Literal["model", "profile", "front", "data"], typer.Argument(help="what to look at")],
    config: Annotated[Path, typer.Argument(help="experiment config, or a front file", metavar="CONFIG.yaml")],
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Print a table of the model's layers, the clients' capacities, the front, or the data's partition."""
    from distreal_sim.config import load_experiment
    from distreal_sim.inspection import inspect_experiment, inspect_front_file

    if what == "front" and config.suffix == ".json":
        inspect_front_file(config, Console())
        return
    experiment, notes = load_experiment(config, overrides or [])
    _say(notes)
    inspect_experiment(what, experiment, Console())


@app.command()
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
        Path | None, typer.Option(help="figure: .png, .pdf or .svg [default: accuracy.png or front.png]")
    ] = None,
    target: Annotated[list[float] | None, typer.Option(help="accuracy to mark; may be repeated")] = None,
    verbose: Verbose = False,
) -> None:
    """Draw accuracy against simulated time, a line per method, mean and 95 % band over seeds; or a front.

    The runs of a sweep get a panel for each of its settings.
    """
    if len(directories) == 1 and directories[0].suffix == ".json":
        from distreal_sim.plots.front import front_file

        out = out or Path("front.png")
        front_file(directories[0], out)
    else:
        from distreal_sim.plots.accuracy import accuracy
        from distreal_sim.runs import find_runs

        out = out or Path("accuracy.png")
        runs = find_runs(directories)
        place = runs[0].place
        accuracy(runs, x=x, targets=target or (place.targets if place is not None else ()), out=out)
    print(out)


@app.command()
def table(
    directories: Annotated[
        list[Path], typer.Argument(help="run directories, or folders of them", metavar="DIR...")
    ],
    target: Annotated[list[float] | None, typer.Option(help="accuracy to reach; may be repeated")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="method that the others are compared with, seed by seed [default: the sweep's]"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="also write the table to this CSV file")] = None,
    verbose: Verbose = False,
) -> None:
    """Print time to accuracy per method: mean and 95 % interval over seeds; in a sweep ranks too."""
    from distreal_sim.comparison import compare
    from distreal_sim.files import write_atomically
    from distreal_sim.runs import find_runs
    from distreal_sim.tables import render, time_to_accuracy, to_csv

    runs = find_runs(directories)
    if baseline is not None or runs[0].place is not None:
        result = compare(runs, target or None, baseline)
    else:
        result = time_to_accuracy(runs, target or None)
    if csv is not None:
        try:
            write_atomically(csv, to_csv(result).encode())
        except OSError as error:
            raise InputError(f"--csv {csv} cannot be written: {error.strerror}") from None
    render(result, Console())


@app.command()
def schema() -> None:
    """Print the JSON schema of experiment configs, for editors."""
    from distreal_sim.config import json_schema

    print(json.dumps(json_schema(), indent=1))


class _InterruptedError(Exception):
    """Ctrl-C in a run; the command line library would end a KeyboardInterrupt without a message.

    Its text says how to go on.
    """


def _say(notes: list[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def main() -> None:
    """Entry point. Exit codes: 0; 2 for a mistake in the input; 1 for a failure; 130 for Ctrl-C."""
    sys.path.insert(0, os.getcwd())  # for plug-ins of the user's own, by dotted path
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, _InterruptedError) as error:
        how = str(error) or "the same command with --resume goes on from the last checkpoint"
        _fail(f"interrupted; {how}", 130)
    except RunError as error:
        _fail(str(error), 1, error.details)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def _fail(message: str, code: int, details: str = "") -> None:
    if "--verbose" in sys.argv:
        import traceback

        traceback.print_exc()
        print(details, file=sys.stderr)
    elif details:
        message += " (--verbose shows the traceback)"
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
