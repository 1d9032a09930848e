"""The command line."""

from __future__ import annotations

import os
import sys

import typer

from distreal_sim.base.errors import InputError, RunError
from distreal_sim.cli._demo import demo
from distreal_sim.cli._look import check, inspect, schema
from distreal_sim.cli._play import run, search, sweep
from distreal_sim.cli._results import plot, table
from distreal_sim.cli._shared import InterruptedCommandError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Simulates federated learning on devices whose compute budget is small, unequal and changing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

for command in (demo, run, search, sweep, check, inspect, plot, table, schema):
    app.command()(command)


def main() -> None:
    """Entry point. Exit codes: 0; 2 for a mistake in the input; 1 for a failure; 130 for Ctrl-C."""
    sys.path.insert(0, os.getcwd())  # for plug-ins of the user's own, by dotted path
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except (KeyboardInterrupt, InterruptedCommandError) as error:
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
