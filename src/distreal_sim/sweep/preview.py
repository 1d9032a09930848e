"""Preview of a sweep: every cell checked, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from distreal_sim.base.process import prepare_process
from distreal_sim.base.text import add_row, say, si, table, wide
from distreal_sim.sweep.cells import Cell
from distreal_sim.sweep.run import check_cells


def print_cells(cells: Sequence[Cell], console: Console) -> None:
    """Builds the task of every cell and prints a row for each combination of values, with its seeds.

    Raises InputError naming the cell.
    """
    prepare_process()
    bytes_each, _ = check_cells(cells)
    rows: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.place.variant, *cell.shown.values()), []).append(cell)
    shown = table("cells", "|".join(f"<{name}" for name in ("label", *cells[0].shown, "seeds", "rounds")))
    for values, same in rows.items():
        seeds = ", ".join(str(cell.experiment.seed) for cell in same)
        add_row(shown, *values, seeds, str(same[0].experiment.rounds))
    wide(console).print(shown)
    n_rounds = sum(cell.experiment.rounds for cell in cells)
    say(
        console,
        f"{len(cells)} cells, {n_rounds:,} rounds together; a cell needs at most {si(bytes_each, 'B')} of "
        "memory (estimated).",
    )
