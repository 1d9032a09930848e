"""The command line."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import click
import typer

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.base.versions import NAME, version_of
from distreal_sim.cli._command import Command
from distreal_sim.cli._shared import InterruptedCommandError
from distreal_sim.cli._signals import like_ctrl_c
from distreal_sim.cli._text import show, show_what_can_be_shown
from distreal_sim.cli.calibrate import calibrate
from distreal_sim.cli.check import check
from distreal_sim.cli.demo import demo
from distreal_sim.cli.inspect import inspect
from distreal_sim.cli.list import list_names
from distreal_sim.cli.measure import measure
from distreal_sim.cli.plan import plan
from distreal_sim.cli.plot import plot
from distreal_sim.cli.run import run
from distreal_sim.cli.schema import schema
from distreal_sim.cli.search import search
from distreal_sim.cli.sweep import sweep
from distreal_sim.cli.table import table

__all__ = ["app", "main"]

app = typer.Typer(
    help="Simulates federated learning on devices whose compute budget is small, unequal and changing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    suggest_commands=not hasattr(click.exceptions, "NoSuchCommand"),  # click then names the nearest itself
)

for command in (demo, run, search, sweep, check, plan, inspect, measure, calibrate, plot, table, schema):
    app.command(cls=Command)(command)
app.command("list", cls=Command)(list_names)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{NAME} {version_of()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """What the command line takes without a command."""


def main() -> None:
    """Entry point.

    Exit codes: 0; 2 for a mistake in the input; 1 for a failure; 130 for Ctrl-C; 143 and 129 for SIGTERM and
    SIGHUP, which end a command in the same way.
    """
    look_here_last()
    show_what_can_be_shown()
    with like_ctrl_c() as received:
        try:
            app()
        except SystemExit:
            if not received:
                raise
            _fail(f"ended by {received[0].name}", 128 + received[0])
        except InputError as error:
            _fail(str(error), 2)
        except (KeyboardInterrupt, InterruptedCommandError) as error:
            how = str(error) or "the same command with --resume goes on from the last checkpoint"
            what = f"ended by {received[0].name}" if received else "interrupted"
            _fail(f"{what}; {how}", 128 + (received or [signal.SIGINT])[0])
        except RunError as error:
            _fail(str(error), 1, error.details)
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)


def look_here_last() -> None:
    """Makes plug-ins in the working directory importable by dotted path, after all that is installed.

    Before it, a `datasets.py` of the user's would hide a library; `python -m` puts it there.
    """
    here = os.getcwd()
    if sys.path[:1] in ([""], [here]):
        del sys.path[0]
    if here not in sys.path:
        sys.path.append(here)


def _fail(message: str, code: int, details: str = "") -> None:
    if "--verbose" in sys.argv:
        import traceback

        traceback.print_exc()
        print(details, file=sys.stderr)
    elif details:
        message += " (--verbose shows the traceback)"
    show(f"error: {message}", sys.stderr)
    sys.exit(code)
