"""What the commands share: common arguments, notes, and how a command is interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Argument(help="experiment config, a YAML file", metavar="CONFIG.yaml")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="overrides, e.g. method.name=fedavg seed=3", metavar="[KEY=VALUE]..."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress, notes or warnings")]
Verbose = Annotated[bool, typer.Option("--verbose", help="a traceback with every error")]


class InterruptedCommandError(Exception):
    """Ctrl-C in a run; the command line library would end a KeyboardInterrupt without a message.

    Its text says how to go on.
    """


def say(notes: list[str]) -> None:
    """Prints notes for people, a line each."""
    for note in notes:
        print(note, file=sys.stderr)
