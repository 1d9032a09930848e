"""The front over vectors and steps of mnist_dirichlet with its gap filled: filled.json in its folder.

python experiments/benchmark/fill.py

The search left no entry between its last thinned one and the full network. The entries of vectors.json that
lie between are put in. Their scores only say their order: they are spaced evenly, by a thousandth of the last
thinned entry's, because those of another search cannot be compared.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distreal_sim.fronts.file import read_front

FOLDER = Path(__file__).parent / "scenarios" / "mnist_dirichlet"


def main() -> None:
    """Writes filled.json."""
    front, vectors = (read_front(FOLDER / f"{name}.json") for name in ("front", "vectors"))
    *thinned, full = front.entries
    between = [entry for entry in vectors.entries[:-1] if entry.macs > thinned[-1].macs]
    filled = [
        replace(entry, score=thinned[-1].score * (1 + number / 1000), score_error=None)
        for number, entry in enumerate(between, 1)
    ]
    made = {"how": "front.json, with the entries of vectors.json in its gap"}
    replace(front, entries=(*thinned, *filled, full), made=made).save(FOLDER / "filled.json")


if __name__ == "__main__":
    main()
