"""The files of the result tables: CSV that grows row by row, and parquet in parts."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distreal_sim.base.files import naming, sync
from distreal_sim.simulation.rows import CLIENT_SCHEMA, ClientRows


class CsvTable:
    """A CSV file that grows row by row and can be cut back to an earlier length."""

    def __init__(self, path: Path, row_type: type[Any]) -> None:
        self.path = path
        self.columns = [f.name for f in dataclasses.fields(row_type)]
        self._file: io.FileIO | None = None

    def cut(self, n_bytes: int | None) -> None:
        """Keeps the first n_bytes, or starts the file afresh with its header."""
        if n_bytes is None:
            with naming(self.path):
                self.path.write_bytes(_csv_line(self.columns))
        else:
            with self.path.open("r+b") as file:
                file.truncate(n_bytes)

    def append(self, row: Any) -> None:
        """Adds a row; floats are written so that reading gives the same bits."""
        with naming(self.path):
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(_csv_line([_cell(getattr(row, c)) for c in self.columns]))

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
    """One part of clients.parquet."""
    _write_whole(path, rows.table(), ())


def join_client_parts(parts: Sequence[Path], path: Path) -> None:
    """Writes clients.parquet from its parts, one at a time."""
    _write_whole(path, None, parts)


def _write_whole(path: Path, table: pa.Table | None, parts: Sequence[Path]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with naming(path):
            with pq.ParquetWriter(temporary, CLIENT_SCHEMA, compression="zstd") as writer:
                if table is not None:
                    writer.write_table(table)
                for part in parts:
                    writer.write_table(pq.read_table(part, schema=CLIENT_SCHEMA))
            sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
