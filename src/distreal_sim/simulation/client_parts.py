"""The parts of clients.parquet while a run goes on, a file for the rounds between two checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distreal_sim.base.files import naming, sync
from distreal_sim.simulation.rows import COLUMNS, ClientRows, schema_of


class ClientParts:
    """The folder of the parts; each is named after its last round."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, round_number: int) -> Path:
        return self.folder / f"{round_number:06d}.parquet"

    def add(self, round_number: int, rows: ClientRows) -> None:
        """Writes the part that ends with this round."""
        table = rows.table()
        _write_whole(self._path(round_number), table.schema, [table])

    def cut(self, round_number: int) -> None:
        """Removes the parts after a round, and half-written ones."""
        for part in self.folder.iterdir():
            if part.suffix == ".tmp" or int(part.stem) > round_number:
                part.unlink()

    def divide(self, whole: Path, round_number: int) -> None:
        """Makes the rows of clients.parquet up to a round the only part."""
        shutil.rmtree(self.folder)  # a run that was killed when it had just finished has left some
        self.folder.mkdir()
        if round_number:
            table = pq.read_table(whole, filters=[("round", "<=", round_number)])
            _write_whole(self._path(round_number), table.schema, [table])

    def join(self, whole: Path) -> None:
        """Writes clients.parquet, one part at a time."""
        parts = sorted(self.folder.glob("*.parquet"))
        schema = pq.read_schema(parts[0]) if parts else schema_of(COLUMNS)
        _write_whole(whole, schema, (pq.read_table(part, schema=schema) for part in parts))


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
