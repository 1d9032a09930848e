"""The files of the result tables: CSV that grows row by row, and parquet in parts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distreal_sim.base.files import naming, sync
from distreal_sim.simulation.rows import COLUMNS, ClientRows, schema_of


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


def write_client_rows(path: Path, rows: ClientRows) -> None:
    """Writes one part of clients.parquet."""
    table = rows.table()
    _write_whole(path, table.schema, [table])


def write_first_rounds(whole: Path, round_number: int, part: Path) -> None:
    """Writes the rows of clients.parquet up to a round as one part."""
    table = pq.read_table(whole, filters=[("round", "<=", round_number)])
    _write_whole(part, table.schema, [table])


def join_client_parts(parts: Sequence[Path], path: Path) -> None:
    """Writes clients.parquet from its parts, one at a time."""
    schema = pq.read_schema(parts[0]) if parts else schema_of(COLUMNS)
    _write_whole(path, schema, (pq.read_table(part, schema=schema) for part in parts))


def _write_whole(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path):
            with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table)
            sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
