"""Preview of a sweep: every cell checked, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from distreal_sim.base.process import prepare_process
from distreal_sim.base.text import add_row, counted, say, show, si, table, wide
from distreal_sim.config import texts_of
from distreal_sim.inspection import cautions
from distreal_sim.sweep.cells import Cell, load_cells
from distreal_sim.sweep.run import check_cells
from distreal_sim.sweep.settings import Sweep


def check_sweep(config: str | Path | Mapping[str, Any], **overrides: Any) -> pd.DataFrame:
    """What a sweep would run: a row for each combination of values, with its seeds and number of rounds.

    config, overrides: see `sweep`. Builds the task of every cell. Raises InputError naming the cell.
    """
    _, cells, notes = load_cells(config, texts_of(overrides, whole=Sweep.model_fields))
    for note in notes:
        cautions.python_warning(note)
    prepare_process()
    check_cells(cells, cautions.python_warning)
    return cells_table(cells)


def cells_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """A row for each combination of values: label, the swept keys, seeds and rounds."""
    rows: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.place.variant, *cell.shown.values()), []).append(cell)
    return pd.DataFrame(
        [
            (*values, ", ".join(str(cell.experiment.seed) for cell in same), same[0].experiment.rounds)
            for values, same in rows.items()
        ],
        columns=["label", *cells[0].shown, "seeds", "rounds"],
    )


def print_cells(cells: Sequence[Cell], console: Console) -> None:
    """Builds the task of every cell and prints a row for each combination of values, with its seeds.

    Raises InputError naming the cell.
    """
    prepare_process()
    warnings: list[str] = []
    bytes_each, _ = check_cells(cells, warnings.append)
    rows = cells_table(cells)
    shown = table("cells", "|".join(f"<{name}" for name in rows.columns))
    for row in rows.itertuples(index=False):
        add_row(shown, *map(str, row))
    show(console, shown)
    n_rounds = sum(cell.experiment.rounds for cell in cells)
    say(
        console,
        f"{counted(len(cells), 'cell')}, {counted(n_rounds, 'round')} together; a cell needs at most "
        f"{si(bytes_each, 'B')} of memory (estimated).",
    )
    for line in warnings:
        say(wide(console), line)
