"""The glossary: every word is explained where its entry links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "glossary.md"
ENTRIES = re.findall(r"^- (\*\*.*?)(?=^- |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
WORDS = re.compile(r"\*\*(.+?)\*\*")

MUST_BE_THERE = {
    "capacity", "cohort", "coverage", "deadline", "entry", "fleet", "front", "level", "offered MACs",
    "overrun", "partial work", "sub-model", "vector",
}  # fmt: skip


def test_the_words_are_there_in_order() -> None:
    words = [word for entry in ENTRIES for word in WORDS.findall(entry)]
    assert set(words) >= MUST_BE_THERE
    firsts = [WORDS.findall(entry)[0].lower() for entry in ENTRIES]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: "-".join(WORDS.findall(entry)).replace(" ", "_"))
def test_the_linked_page_uses_the_word(entry: str) -> None:
    """`offered MACs`: each part of the word. A link goes to the section after the #, where there is one."""
    (target,) = re.findall(r"\]\((.+?)\)", entry)
    path, _, anchor = target.partition("#")
    section = (PAGE.parent / path).read_text().lower()
    if anchor:
        sections = re.split(r"^(?=#+ )", section, flags=re.MULTILINE)
        titles = [re.sub(r"[^\w\- ]", "", part.splitlines()[0].lstrip("# ")) for part in sections if part]
        section = [part for part in sections if part][titles.index(anchor.replace("-", " "))]
    for word in WORDS.findall(entry):
        for part in word.lower().removesuffix("s").split():
            assert part in section, (part, target)
    assert entry.count(". ") <= 2
