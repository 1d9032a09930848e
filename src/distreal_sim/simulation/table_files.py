"""CSV files of results, which grow row by row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distreal_sim.base.files import naming


class CsvTable:
    """A CSV file that grows row by row and can be cut back to an earlier length."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = columns
        self._file: io.FileIO | None = None

    def cut(self, n_bytes: int | None) -> None:
        """Keeps the first n_bytes; None: starts a new file with its header."""
        if n_bytes is None:
            with naming(self.path):
                self.path.write_bytes(_csv_line(self.columns))
        else:
            with self.path.open("r+b") as file:
                file.truncate(n_bytes)

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row, given by column name; floats are written so that reading restores every bit."""
        with naming(self.path):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(_csv_line([_cell(row[c]) for c in self.columns]))

    def close(self) -> None:
        """Closes the file; rows can still be added."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def n_bytes(self) -> int:
        return self.path.stat().st_size


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _csv_line(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
