"""Text for terminals: filled to their width, and without the characters that they cannot show."""

from __future__ import annotations

import codecs
import io
import shutil
import sys
import textwrap
from typing import TextIO

PLAIN = {"±": "+-", "\N{MULTIPLICATION SIGN}": "x", "…": "..."}
"""What stands for a character where it cannot be shown; a question mark for any other."""


def show_what_can_be_shown() -> None:
    """Makes stdout and stderr write PLAIN where their encoding lacks a character; they would raise."""
    codecs.register_error("distreal_sim.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="distreal_sim.plain")


def show(text: str, stream: TextIO) -> None:
    """Prints text; on a terminal, lines are broken between words at its width. A pipe gets them whole."""
    if stream.isatty():
        width = max(shutil.get_terminal_size().columns - 1, 20)
        text = "\n".join(_filled(line, width) for line in text.split("\n"))
    print(text, file=stream)


def _filled(line: str, width: int) -> str:
    return (
        line
        if len(line) <= width
        else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
    )


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end
