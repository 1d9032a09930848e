"""Messages on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from distreal_sim.cli._text import show


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_only_a_terminals_lines_are_filled(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 30 columns takes 29 characters a line; a path longer than that stays whole, and so do
    lines that fit.
    """
    monkeypatch.setenv("COLUMNS", "30")
    path = "/a/folder-with-a-long-name/of/the-user"
    stream = kind()
    show(f"error: valid are alpha, beta, gamma\n  not {path}\n  as it is", stream)
    whole = f"error: valid are alpha, beta, gamma\n  not {path}\n  as it is\n"
    filled = f"error: valid are alpha, beta,\ngamma\n  not\n{path}\n  as it is\n"
    assert stream.getvalue() == (filled if kind is Terminal else whole)
