"""The rows of the result tables and the files they are written to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa

from distreal_sim.client.messages import STATUSES, Facts

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


class ClientRows(Sequence[ClientRow]):
    """Clients' rounds in columns, so that many of them cost no object each.

    columns: (n,) arrays by the names of ClientRow's fields; status: indices into STATUSES.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self.columns = columns

    @classmethod
    def of(cls, rows: Sequence[ClientRow]) -> ClientRows:
        """The same rows in columns."""
        if isinstance(rows, ClientRows):
            return rows
        return cls._of({name: [getattr(row, name) for row in rows] for name in CLIENT_SCHEMA.names})

    @classmethod
    def _of(cls, values: Mapping[str, Sequence[Any]]) -> ClientRows:
        status = [STATUSES.index(status) for status in values["status"]]
        return cls({name: np.array(own, DTYPES[name]) for name, own in {**values, "status": status}.items()})

    @classmethod
    def of_round(
        cls, round_number: int, facts: Sequence[Facts], macs_available: Sequence[float]
    ) -> ClientRows:
        """macs_available: what each client's capacity offered from the start of the round to its end."""
        values = {name: [getattr(own, name) for own in facts] for name in FACTS}
        return cls._of({**values, "round": [round_number] * len(facts), "macs_available": macs_available})

    @classmethod
    def join(cls, parts: Sequence[ClientRows]) -> ClientRows:
        """All rows of at least one part."""
        names = CLIENT_SCHEMA.names
        return cls({name: np.concatenate([part.columns[name] for part in parts]) for name in names})

    def __len__(self) -> int:
        return len(self.columns["client_id"])

    @overload
    def __getitem__(self, place: int) -> ClientRow: ...
    @overload
    def __getitem__(self, place: slice) -> ClientRows: ...
    def __getitem__(self, place: int | slice) -> ClientRow | ClientRows:
        if isinstance(place, slice):
            return ClientRows({name: column[place] for name, column in self.columns.items()})
        values = {name: column[place].item() for name, column in self.columns.items()}
        return ClientRow(**{**values, "status": STATUSES[values["status"]]})

    def table(self) -> pa.Table:
        """As it stands in clients.parquet; NaN losses and keep rates are nulls."""
        columns = {}
        for name in CLIENT_SCHEMA.names:
            values = self.columns[name]
            if name == "status":
                columns[name] = pa.DictionaryArray.from_arrays(values, STATUSES).cast(pa.string())
            else:
                nulls = np.isnan(values) if name in ("train_loss", "mean_keep_rate") else None
                columns[name] = pa.array(values, mask=nulls)
        return pa.table(columns, schema=CLIENT_SCHEMA)


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
        rows: ClientRows,
    ) -> RoundRow:
        """Sums the clients' rows; losses are weighted by examples."""
        loss, accuracy = tested or (None, None)
        submodel_loss, submodel_accuracy = submodel or (None, None)
        columns = rows.columns
        status = columns["status"]
        n_of = dict(zip(STATUSES, np.bincount(status, minlength=len(STATUSES)).tolist(), strict=True))
        merged = (status == STATUSES.index("completed")) | (status == STATUSES.index("partial"))
        losses, n_examples = columns["train_loss"][merged], columns["n_examples"][merged]
        trained = len(losses) and not math.isnan(losses[0])  # else the clock ran alone
        return cls(
            round=round_number,
            sim_s=sim_s,
            test_accuracy=accuracy,
            test_loss=loss,
            train_loss=total(losses * n_examples) / int(n_examples.sum()) if trained else None,
            n_selected=len(rows),
            n_completed=n_of["completed"],
            n_partial=n_of["partial"],
            n_dropped=n_of["dropped"],
            macs=int(columns["macs"].sum()),
            macs_available=total(columns["macs_available"]),
            download_bytes=int(columns["download_bytes"].sum()),
            upload_bytes=int(columns["upload_bytes"].sum()),
            submodel_accuracy=submodel_accuracy,
            submodel_loss=submodel_loss,
            n_diverged=n_of["diverged"],
        )


def total(values: np.ndarray) -> float:
    """The sum of (n,) floats, one added after the other; 0 for none.

    numpy's own sums, and those of Python from 3.12 on, are rounded in another way.
    """
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


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


FACTS = [f.name for f in dataclasses.fields(Facts)]
"""The columns of ClientRow that the client itself reports."""

DTYPES = {f.name: f.type.to_pandas_dtype() for f in CLIENT_SCHEMA} | {"status": np.int64}
"""What the columns of ClientRows are."""
