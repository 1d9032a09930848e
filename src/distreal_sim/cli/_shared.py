"""What the commands share: common arguments, notes, and how a command is interrupted."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from distreal_sim.base.errors import InputError
from distreal_sim.cli._text import show

Config = Annotated[Path, typer.Argument(help="experiment config, a YAML file", metavar="CONFIG.yaml")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="overrides, e.g. method.name=fedavg seed=3", metavar="[KEY=VALUE]..."),
]
SweepOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="overrides, e.g. rounds=5 seeds=[1,2]; of the experiment's keys or the sweep's",
        metavar="[KEY=VALUE]...",
    ),
]
RayAddress = Annotated[str | None, typer.Option(help="a running Ray cluster to work on, e.g. 127.0.0.1:6379")]
Metric = Annotated[
    Literal["trained", "full"],
    typer.Option(
        help="score of the largest part of the network that was trained so far, or of the whole network"
    ),
]
Score = Annotated[
    str | None,
    typer.Option(
        "--y",
        help="score or column of rounds.csv that is shown: loss, train_loss, macs, clients_accuracy_worst",
        show_default="the first score",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress, notes or warnings")]
Verbose = Annotated[bool, typer.Option("--verbose", help="a traceback with every error")]

UNWATCHED = "job_timeout_wall_s is not watched"
"""Only a process can be killed that does nothing but one client's job."""


class InterruptedCommandError(Exception):
    """Ctrl-C in a run; the command line library would end a KeyboardInterrupt without a message.

    Its text says how to go on.
    """


def check_writable(path: Path, option: str) -> None:
    """Raises InputError where no file can be written, for commands that measure for minutes before."""
    if path.is_dir():
        raise InputError(f"{option} {path} is a directory; give the name of a file")
    if not os.access(path.parent, os.W_OK) or not path.parent.is_dir():
        raise InputError(
            f"{option} {path} cannot be written: {path.parent} is no directory that can be written to"
        )


def say(notes: list[str]) -> None:
    """Prints notes for people, a line each, filled on a terminal."""
    for note in notes:
        show(note, sys.stderr)
