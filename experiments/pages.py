"""Recomputes the numbers of the results pages from the committed tables.

python experiments/pages.py

Each script of SOURCES computes texts from the tables of its experiment: rows of Markdown tables, and parts of
sentences with the numbers in them. Printed are, page by page, the texts that a page lacks, and the numbers of
the page that are in no text.
"""

from __future__ import annotations

import functools
import re
import runpy
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

SOURCES = {
    "README.md": ["benchmark/page.py readme"],
    "lab/results.md": [
        "demo.py",
        "benchmark/page.py",
        "benchmark/studies.py",
        "measured_costs/tables.py",
        "calibration/tables.py",
        "any_network/figures.py",
        "heterogeneity/figures.py",
        "results/tables.py",
        "cifar10/figures.py",
        "codecs/tables.py",
        "reproductions/tables.py",
        "front_ablation/analyse.py",
    ],
    "lab/search.md": [
        "searched_fronts.py",
        "when_thinning_pays/figure.py",
        "when_thinning_pays/fleet.py",
        "cheaper_search/tables.py",
        "proxy_study/analyse.py",
    ],
}
"""The pages, and the scripts that compute their texts, by `texts` or the function named."""

NO_RESULTS = {"95 %", "3.11", "3.13", "2.0"}
"""Numbers that are no results and stand in no config: the level of the intervals, versions."""

DECIMAL = r"(?<![\w.])[+-]?\d+\.\d+(?![\w.]*\d)"
RESULT = re.compile(rf"{DECIMAL}|[+-]?\d+ (?:%|points?\b|times\b|± \d+)")
"""What looks like a result: decimals, percentages, points, multiples, intervals."""

NOT_READ = re.compile(
    r"^```.*?^```|^    .*?$|`[^`\n]*`|\]\([^)]*\)|^#.*?$|U\([^)]*\)", re.DOTALL | re.MULTILINE
)
"""Code, targets of links, headings, uniform distributions of capacities."""


def main() -> None:
    """Prints what is missing and what nothing accounts for."""
    for page in SOURCES:
        text, texts = (ROOT / page).read_text(), computed(page)
        print(f"{page}: {len(texts)} texts are computed")
        for line in lacks(text, texts):
            print(f"  missing: {line}")
        for line in unaccounted(text, texts):
            print(f"  not computed: {line}")


def computed(page: str) -> list[str]:
    """The texts of a page, by the scripts named in SOURCES."""
    found = []
    for source in SOURCES[page]:
        script, _, function = source.partition(" ")
        found += runpy.run_path(str(HERE / script))[function or "texts"]()
    return found


def lacks(page: str, texts: Iterable[str]) -> list[str]:
    """The texts that are not in the text of a page, whatever its line breaks."""
    flat = plain(page)
    return [text for text in texts if plain(text) not in flat]


def unaccounted(page: str, texts: Iterable[str]) -> list[str]:
    """What is left of a page's results without the texts: rows of tables, and numbers of sentences.

    Numbers that stand as they are in a config are settings, no results.
    """
    found = []
    rows = {plain(text) for text in texts if text.startswith("|")}
    lines = page.splitlines()
    for line, below in pairwise([*lines, ""]):
        head = below.startswith("|---")
        if (
            line.startswith("|")
            and not head
            and plain(line) not in rows
            and re.search(r"\d", NOT_READ.sub("", line))
        ):
            found.append(line)
    rest = plain(NOT_READ.sub(_code, "\n".join(line for line in lines if not line.startswith("|"))))
    for text in sorted(texts, key=len, reverse=True):
        rest = rest.replace(plain(NOT_READ.sub(_code, text)), "")
    return found + [n for n in RESULT.findall(rest) if n not in NO_RESULTS and n not in settings()]


def _code(match: re.Match[str]) -> str:
    """A name in backticks is kept without its backticks, unless it holds numbers; all else is left out."""
    text = match[0]
    return text.strip("`") if text.startswith("`") and not re.search(r"\d", text) else " "


def plain(text: str) -> str:
    """Without line breaks, and cells without blanks."""
    return re.sub(r"\| +\|", "||", " ".join(text.split()))


@functools.cache
def settings() -> frozenset[str]:
    """The decimals of all configs."""
    configs = [*ROOT.glob("configs/**/*.yaml"), *HERE.glob("**/*.yaml")]
    return frozenset(number for path in configs for number in re.findall(DECIMAL, path.read_text()))


if __name__ == "__main__":
    main()
