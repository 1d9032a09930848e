"""Measured costs of a sweep: measured once, for all its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distreal_sim.inspection.timing import measured
from distreal_sim.sweep.cells import Cell
from distreal_sim.thinning.measured.file import read_costs
from distreal_sim.thinning.measured.table import CostTable


def share_costs(cells: Sequence[Cell], file: Path) -> tuple[list[Cell], CostTable | None]:
    """The cells with what was measured for all of them, and that; None where nothing is to be measured.

    file: what an earlier call kept, if it exists; only levels that it lacks are measured. Raises InputError
    for a method whose steps are not described by levels.
    """
    wanting = [cell.experiment for cell in cells if cell.experiment.needs_measuring]
    if not wanting:
        return list(cells), None
    table = measured(wanting, read_costs(file) if file.exists() else None)
    return [_with(cell, table) for cell in cells], table


def _with(cell: Cell, table: CostTable) -> Cell:
    if not cell.experiment.needs_measuring:
        return cell
    return replace(cell, experiment=cell.experiment.with_measured(table))
