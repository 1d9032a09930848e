"""The rows of the result tables and the files they are written to."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distreal_sim.files import naming, sync
from distreal_sim.types import Facts

Tested = tuple[float, float] | None
"""(loss, accuracy) on the test set; None: not tested."""


@dataclass(frozen=True)
class ClientRow:
    """One client's round; the columns of clients.parquet."""

    round: int
    client_id: int
    status: str
    n_examples: int
    n_steps_planned: int
    n_steps_done: int
    macs: int
    macs_available: float
    sim_s: float
    mean_keep_rate: float
    download_bytes: int
    upload_bytes: int
    train_loss: float

    @classmethod
    def of(cls, round_number: int, facts: Facts, macs_available: float) -> ClientRow:
        """macs_available: what the client's capacity offered from the start of the round to its end."""
        return cls(round=round_number, macs_available=macs_available, **dataclasses.asdict(facts))


@dataclass(frozen=True)
class RoundRow:
    """One round; the columns of rounds.csv. None is written as an empty cell, NaN (divergence) as nan.

    sim_s: simulated time at the end of the round; train_loss: mean over the examples of the merged updates,
    None without one, or without training; test_accuracy, test_loss: None in rounds without evaluation.
    submodel_accuracy, submodel_loss: of the widest sub-network that a client has trained so far, for methods
    whose sub-networks are the first channels of each layer; None for others.
    """

    round: int
    sim_s: float
    test_accuracy: float | None
    test_loss: float | None
    train_loss: float | None
    n_selected: int
    n_completed: int
    n_partial: int
    n_dropped: int
    macs: int
    macs_available: float
    download_bytes: int
    upload_bytes: int
    submodel_accuracy: float | None
    submodel_loss: float | None
    n_diverged: int

    @classmethod
    def of(
        cls,
        round_number: int,
        sim_s: float,
        tested: Tested,
        submodel: Tested,
        rows: Sequence[ClientRow],
    ) -> RoundRow:
        """Sums the clients' rows; losses are weighted by examples."""
        loss, accuracy = tested or (None, None)
        submodel_loss, submodel_accuracy = submodel or (None, None)
        merged = [r for r in rows if r.status in ("completed", "partial")]
        n_examples = sum(r.n_examples for r in merged)
        trained = merged and not math.isnan(merged[0].train_loss)  # else the clock ran alone
        train_loss = sum(r.train_loss * r.n_examples for r in merged) / n_examples if trained else None
        return cls(
            round=round_number,
            sim_s=sim_s,
            test_accuracy=accuracy,
            test_loss=loss,
            train_loss=train_loss,
            n_selected=len(rows),
            n_completed=sum(r.status == "completed" for r in rows),
            n_partial=sum(r.status == "partial" for r in rows),
            n_dropped=sum(r.status == "dropped" for r in rows),
            macs=sum(r.macs for r in rows),
            macs_available=sum(r.macs_available for r in rows),
            download_bytes=sum(r.download_bytes for r in rows),
            upload_bytes=sum(r.upload_bytes for r in rows),
            submodel_accuracy=submodel_accuracy,
            submodel_loss=submodel_loss,
            n_diverged=sum(r.status == "diverged" for r in rows),
        )


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of a round's two halves; the columns of timing.csv."""

    round: int
    train_wall_s: float
    evaluate_wall_s: float


CLIENT_SCHEMA = pa.schema(
    [
        pa.field(f.name, {"int": pa.int64(), "float": pa.float64(), "str": pa.string()}[str(f.type)])
        for f in dataclasses.fields(ClientRow)
    ]
)


class CsvTable:
    """A CSV file that grows row by row and can be cut back to an earlier length."""

    def __init__(self, path: Path, row_type: type[Any]) -> None:
        self.path = path
        self.columns = [f.name for f in dataclasses.fields(row_type)]

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
        with naming(self.path), self.path.open("ab") as file:
            file.write(_csv_line([_cell(getattr(row, c)) for c in self.columns]))

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


def write_client_rows(path: Path, rows: Sequence[ClientRow]) -> None:
    """One part of clients.parquet. NaN losses become nulls."""
    columns: dict[str, list[Any]] = {name: [getattr(r, name) for r in rows] for name in CLIENT_SCHEMA.names}
    for name in ("train_loss", "mean_keep_rate"):
        columns[name] = [None if math.isnan(v) else v for v in columns[name]]
    _write_whole(path, pa.table(columns, schema=CLIENT_SCHEMA), ())


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
