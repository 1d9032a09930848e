"""Every number of the results pages is that of a committed table, recomputed by experiments/pages.py."""

from __future__ import annotations

import functools
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = runpy.run_path(str(ROOT / "experiments" / "pages.py"))
NAMES = list(PAGES["SOURCES"])
N = 20


@functools.cache
def computed(page: str) -> tuple[str, ...]:
    return tuple(PAGES["computed"](page))


def faults(page: str, text: str) -> list[str]:
    """What is missing in a text of that page, and what nothing accounts for."""
    found: list[str] = PAGES["lacks"](text, computed(page)) + PAGES["unaccounted"](text, computed(page))
    return found


@pytest.mark.parametrize("page", NAMES)
def test_numbers_are_those_of_the_tables(page: str) -> None:
    assert computed(page)
    assert faults(page, (ROOT / page).read_text()) == []


@pytest.mark.parametrize("page", NAMES)
def test_another_number_is_noticed(page: str) -> None:
    """One digit of a decimal that is no setting is changed, in about N places spread over the page."""
    text = (ROOT / page).read_text()
    unread = r"`[^`\n]*`|^    .*$|^\|.*(?=\n\|---)"  # code, and heads of tables
    read = re.sub(unread, lambda code: "x" * len(code[0]), text, flags=re.MULTILINE)
    found = re.finditer(r"(?<![\w./])\d\.\d{2,4}(?![\w.])", read)
    places = [m for m in found if m[0] not in PAGES["settings"]() | PAGES["NO_RESULTS"]]
    for match in places[:: max(1, len(places) // N)]:
        last = match.end() - 1
        changed = text[:last] + str((int(text[last]) + 1) % 10) + text[match.end() :]
        assert faults(page, changed), f"{match[0]} at {match.start()}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("so it gains 0.123 ± 0.004", []),
        ("so it gains 0.123\n± 0.004", []),
        ("so it gains 0.124 ± 0.004", ["0.124", "0.004"]),
        ("| a | 0.5 | 12 |", []),
        ("| a | 0.5 | 13 |", ["| a | 0.5 | 13 |"]),
        ("| head 1 |\n|---|", []),
        ("in 12 rounds of 10 clients", []),  # how often, how many: settings
        ("it wins by 7 points, 3 % more, 2 times", ["7 points", "3 %", "2 times"]),
        ("150 ± 20 s", ["150 ± 20"]),
        ("with a 95 % interval", []),
        ("run `lr=0.777` of [0.1](0.123.md)\n\n    lr 0.888\n", []),
    ],
)
def test_what_is_left(text: str, left: list[str]) -> None:
    """The computed texts are `gains 0.123 ± 0.004` and a row; 0.1 is a setting of some config."""
    found: Any = PAGES["unaccounted"](text, ["gains 0.123 ± 0.004", "| a | 0.5 | 12 |"])
    assert found == left


def test_what_is_missing() -> None:
    """Line breaks and the blanks of empty cells do not matter."""
    texts = ["by 3\npoints", "| a |  | 1 |", "| b | | 1 |"]
    assert PAGES["lacks"]("wins by 3 points\n| a | | 1 |\n", texts) == ["| b | | 1 |"]
