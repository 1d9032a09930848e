"""The command line in this process: what `distreal-sim ...` in a folder does, without a new interpreter."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from distreal_sim.cli import main

PROGRESS = re.compile(r"\S+: round \d+ of \d+, ")


class Done(NamedTuple):
    """What a command left: exit code and what it printed, but for the lines on stderr for single rounds."""

    code: int
    stdout: str
    stderr: str


def distreal_sim(*words: object, cwd: Path | None = None) -> Done:
    """Runs the command line with these words; modules that it imports from `cwd` are forgotten again."""
    before = set(sys.modules)
    with (
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        mock.patch.object(sys, "argv", ["distreal-sim", *map(str, words)]),
        mock.patch.object(sys, "path", list(sys.path)),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    for name in set(sys.modules) - before if cwd else ():
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(cwd):
            del sys.modules[name]
    lines = err.getvalue().splitlines(keepends=True)
    rest = "".join(line for line in lines if not PROGRESS.match(line))
    return Done(code, out.getvalue(), rest)
