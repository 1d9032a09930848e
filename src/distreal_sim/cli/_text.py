"""Text for terminals and files that cannot show every character."""

from __future__ import annotations

import codecs
import io
import sys

PLAIN = {"±": "+-", "\N{MULTIPLICATION SIGN}": "x", "…": "..."}
"""What stands for a character where it cannot be shown; a question mark for any other."""


def show_what_can_be_shown() -> None:
    """Makes stdout and stderr write PLAIN where their encoding lacks a character; they would raise."""
    codecs.register_error("distreal_sim.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="distreal_sim.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end
