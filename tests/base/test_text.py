"""Numbers and durations for people."""

from __future__ import annotations

import io
import math

from rich.console import Console

from distreal_sim.base.text import add_row, compact, counted, duration, percent, say, show, si, table


def test_figures_for_people() -> None:
    assert [si(x, "B") for x in (0, 7, 999.6, 96_232, 999_999, 1.5e10)] == [
        "0 B", "7 B", "1 kB", "96.2 kB", "1 MB", "15 GB"
    ]  # fmt: skip
    assert si(math.inf, "MAC/s") == "inf MAC/s"
    assert [duration(s) for s in (0.123, 42, 600, 9000, 864000)] == [
        "0.12 s",
        "42 s",
        "10 min",
        "2.5 h",
        "10 days",
    ]
    assert [percent(x) for x in (0, 0.0159, 0.25, 1)] == ["0 %", "1.6 %", "25 %", "100 %"]
    assert [counted(n, "round") for n in (0, 1, 2000)] == ["0 rounds", "1 round", "2,000 rounds"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
    assert compact([16, 16, 16, 8, 4, 4]) == "3x16 8 4 4"


def test_a_pipe_gets_lines_unbroken() -> None:
    """300 words of one letter; a terminal of 40 columns breaks them into 15 lines of 20 words."""
    line = " ".join(["x"] * 300)
    for terminal, n_lines in ((False, 1), (True, 15)):
        text = io.StringIO()
        say(Console(file=text, width=40, force_terminal=terminal), line)
        assert len(text.getvalue().splitlines()) == n_lines


def test_a_narrow_terminal_gets_whole_numbers() -> None:
    """Columns of 1, 11 and 11 characters, and a text of 29 that may be folded to 20.

    Each has 3 characters of frame, and the left edge 1: the numbers take 1 + 4 + 14 + 14 = 33 characters, and
    the text with the first column 1 + 4 + 23 = 28. So a terminal of 33 gets two tables, and a pipe one.
    """
    numbers, words = (123456789, "12345.67890"), " ".join(["abcd"] * 6)
    for terminal, n_tables in ((False, 1), (True, 2)):
        shown, text = table("title", "#|one|other|<words"), io.StringIO()
        add_row(shown, 0, *numbers, words)
        show(Console(file=text, width=33, force_terminal=terminal, color_system=None), shown)
        lines = text.getvalue().splitlines()
        assert sum("┏" in line for line in lines) == n_tables
        assert text.getvalue().count("title") == 1
        assert "│ 0 │ 123,456,789 │ 12345.67890 │" in text.getvalue()
        assert max(len(line) for line in lines if "│" in line) <= (33 if terminal else 200)
