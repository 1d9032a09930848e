"""The rows of the result tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, overload

import numpy as np
import pyarrow as pa

from distreal_sim.base.errors import InputError
from distreal_sim.client.columns import Column, column, columns_of, names_of
from distreal_sim.client.messages import STATUSES, Arrays, Facts

Tested = Mapping[str, float] | None
"""Scores on the test set by name, `loss` among them; None: not tested."""


TEST, SUBMODEL = "test_", "submodel_"
"""Prefixes of columns: of the whole network, and of the largest sub-network trained so far."""

NAMES = ("accuracy", "loss")
"""The scores of a classification whose config names no metrics."""


@dataclass(frozen=True)
class Scores:
    """The results of a test.

    full: those of the whole network; submodel: those of the largest sub-network trained so far
    (`Method.widest`); statistics: the batch-norm statistics of the whole network; clients: rows of
    client_scores.csv without the round; of_clients: their summary, by column of rounds.csv; classes: rows of
    class_scores.csv without the round.
    """

    full: Tested
    submodel: Tested
    statistics: Arrays
    clients: Sequence[Mapping[str, Any]] = ()
    of_clients: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    classes: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class ClientRow(Facts):
    """A row of clients.parquet: the facts that a client reports, and columns that the server adds."""

    round: int = column("number of the round, from 1")
    macs_available: float = column("what its capacity offered from the round's start to its end", "sum")


def _in_order(columns: dict[str, Column]) -> dict[str, Column]:
    """Puts `round` first, and `macs_available` after `macs`."""
    names = [name for name in columns if name not in ("round", "macs_available")]
    names.insert(0, "round")
    names.insert(names.index("macs") + 1, "macs_available")
    return {name: columns[name] for name in names}


COLUMNS = _in_order(columns_of(ClientRow))
"""The columns of clients.parquet, to which a method may add its own (`Method.columns`)."""

OF_FACTS = tuple(columns_of(Facts))
"""Those that a client reports."""

PARQUET = {"int": pa.int64(), "float": pa.float64(), "str": pa.string()}

DTYPES = {name: PARQUET[c.kind].to_pandas_dtype() for name, c in COLUMNS.items()} | {"status": np.int64}
"""Types of the columns of ClientRows; a method's own columns are float64."""


def schema_of(names: Iterable[str]) -> pa.Schema:
    """The schema of clients.parquet with these columns."""
    return pa.schema([(name, PARQUET[COLUMNS[name].kind if name in COLUMNS else "float"]) for name in names])


class ClientRows(Sequence[ClientRow]):
    """Clients' rounds in columns, without an object for each row.

    columns: (n,) arrays by name: first COLUMNS, then the method's own; status: indices into STATUSES.
    """

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        names = [*COLUMNS, *(name for name in columns if name not in COLUMNS)]
        self.columns: Mapping[str, np.ndarray] = {name: columns[name] for name in names}

    @classmethod
    def of(cls, rows: Sequence[ClientRow]) -> ClientRows:
        """The same rows in columns."""
        if isinstance(rows, ClientRows):
            return rows
        own = rows[0].metrics if rows else ()
        values = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
        return cls._of(values | {name: [row.metrics[name] for row in rows] for name in own})

    @classmethod
    def _of(cls, values: Mapping[str, Sequence[Any]]) -> ClientRows:
        status = [STATUSES.index(status) for status in values["status"]]
        values = {**values, "status": status}
        return cls({name: np.array(own, DTYPES.get(name, np.float64)) for name, own in values.items()})

    @classmethod
    def of_round(
        cls,
        round_number: int,
        facts: Sequence[Facts],
        macs_available: Sequence[float],
        own: Sequence[Column] = (),
    ) -> ClientRows:
        """The rows of one round.

        macs_available: MACs that each client's capacity offered from the start of the round to its end;
        own: the method's columns.
        """
        values: dict[str, Sequence[Any]] = {name: list(map(attrgetter(name), facts)) for name in OF_FACTS}
        values |= {c.name: [one.metrics.get(c.name, math.nan) for one in facts] for c in own}
        return cls._of({**values, "round": [round_number] * len(facts), "macs_available": macs_available})

    @classmethod
    def join(cls, parts: Sequence[ClientRows]) -> ClientRows:
        """All rows of the parts, of which there must be at least one."""
        names = parts[0].columns
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
        metrics = {name: values.pop(name) for name in self.columns if name not in COLUMNS}
        return ClientRow(**{**values, "status": STATUSES[values["status"]], "metrics": metrics})

    def table(self) -> pa.Table:
        """The table as in clients.parquet; NaN in an optional column becomes null."""
        columns = {}
        for name, values in self.columns.items():
            if name == "status":
                columns[name] = pa.DictionaryArray.from_arrays(values, STATUSES).cast(pa.string())
            else:
                optional = name not in COLUMNS or COLUMNS[name].optional
                columns[name] = pa.array(values, mask=np.isnan(values) if optional else None)
        return pa.table(columns, schema=schema_of(columns))


@dataclass(frozen=True)
class RoundRow:
    """One round; the columns of rounds.csv. None is written as an empty cell, NaN (divergence) as nan.

    sim_s: simulated time at the end of the round; train_loss: mean over the examples of the merged updates,
    None without one, or without training. scores: by column, and each an attribute too: test_NAME of every
    metric and test_loss, None in rounds without evaluation; submodel_NAME and submodel_loss of the widest
    sub-network that a client has trained so far, for methods whose sub-networks are the first channels of
    each layer; None for others; the clients' scores in sum (`client_scores.client_columns`). clients: rows of
    client_scores.csv; classes: those of class_scores.csv. more: sums and means of further columns, which come
    after the others.
    """

    round: int
    sim_s: float
    train_loss: float | None
    n_selected: int
    n_completed: int
    n_partial: int
    n_dropped: int
    macs: int
    macs_available: float
    download_bytes: int
    upload_bytes: int
    n_diverged: int
    scores: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    clients: Sequence[Mapping[str, Any]] = ()
    classes: Sequence[Mapping[str, Any]] = ()
    more: Mapping[str, float | None] = dataclasses.field(default_factory=dict)

    @property
    def cells(self) -> Mapping[str, Any]:
        """The value of every column."""
        return {**{name: getattr(self, name) for name in ROUND_COLUMNS}, **self.scores, **self.more}

    @classmethod
    def of(
        cls,
        round_number: int,
        sim_s: float,
        scores: Scores | None,
        rows: ClientRows,
        own: Sequence[Column] = (),
        names: Iterable[str] = NAMES,
        of_clients: Iterable[str] = (),
    ) -> RoundRow:
        """Sums up the clients' rows; losses are weighted by examples. own: the method's columns; names: of
        the scores; of_clients: columns of the clients' scores.
        """
        by_client = {} if scores is None else scores.of_clients
        full, submodel = (scores and scores.full) or {}, (scores and scores.submodel) or {}
        columns = rows.columns
        status = columns["status"]
        n_of = dict(zip(STATUSES, np.bincount(status, minlength=len(STATUSES)).tolist(), strict=True))
        merged = (status == STATUSES.index("completed")) | (status == STATUSES.index("partial"))
        losses, n_examples = columns["train_loss"][merged], columns["n_examples"][merged]
        trained = len(losses) and not math.isnan(losses[0])  # otherwise nothing was trained
        sums = {name: _sum(columns[name]) for name, c in COLUMNS.items() if c.in_round == "sum"}
        more = {c.name: _in_round(c, columns, merged) for c in own if c.in_round is not None}
        return cls(
            round=round_number,
            sim_s=sim_s,
            train_loss=total(losses * n_examples) / int(n_examples.sum()) if trained else None,
            n_selected=len(rows) - n_of["asked"],
            n_completed=n_of["completed"],
            n_partial=n_of["partial"],
            n_dropped=n_of["dropped"],
            **{name: sums.pop(name) for name in list(sums) if name in ROUND_COLUMNS},
            n_diverged=n_of["diverged"],
            scores={TEST + name: full.get(name) for name in names}
            | {SUBMODEL + name: submodel.get(name) for name in names}
            | {name: by_client.get(name) for name in of_clients},
            clients=[] if scores is None else [{"round": round_number, **row} for row in scores.clients],
            classes=[] if scores is None else [{"round": round_number, **row} for row in scores.classes],
            more={**sums, **more},
        )

    def __getattr__(self, name: str) -> float | None:
        scores: Mapping[str, float | None] = self.__dict__.get("scores", {})
        if name in scores:
            return scores[name]
        raise AttributeError(f"{type(self).__name__} has no column '{name}'; its scores: {', '.join(scores)}")


ROUND_COLUMNS = [
    f.name for f in dataclasses.fields(RoundRow) if f.name not in ("scores", "clients", "classes", "more")
]
"""The columns of every run's rounds.csv beside its scores: the fields of RoundRow."""


def round_columns(
    own: Sequence[Column] = (), names: Iterable[str] = NAMES, of_clients: Sequence[str] = ()
) -> list[str]:
    """The columns of rounds.csv; own: the method's; names: of the scores; of_clients: of the clients' scores.

    Raises InputError for a name that is taken.
    """
    columns = list(ROUND_COLUMNS)
    after, before = columns.index("sim_s") + 1, columns.index("n_diverged")
    columns[before:before] = [SUBMODEL + name for name in names]
    columns[after:after] = [TEST + name for name in names]
    columns += of_clients
    taken = {*COLUMNS, *columns}
    for name in names_of(own):
        if name in taken:
            raise InputError(f"the method declares a column '{name}', a name that the tables have already")
        taken.add(name)
    further = names_of([c for c in COLUMNS.values() if c.name not in ROUND_COLUMNS], in_round=True)
    return [*columns, *further, *names_of(own, in_round=True)]


def _sum(values: np.ndarray) -> Any:
    return total(values) if values.dtype == np.float64 else int(values.sum())


def _in_round(column: Column, columns: Mapping[str, np.ndarray], merged: np.ndarray) -> float | None:
    """The summary of a method's column for rounds.csv; None where no client has a value."""
    values = columns[column.name]
    known = ~np.isnan(values) & (merged if column.in_round == "mean" else True)
    if not known.any():
        return None
    if column.in_round == "sum":
        return total(values[known])
    weights = columns["n_examples"][known]
    return total(values[known] * weights) / int(weights.sum())


def total(values: np.ndarray) -> float:
    """The sum of (n,) floats, added one by one; 0 for none.

    numpy's sums, and Python's from 3.12 on, round differently.
    """
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


@dataclass(frozen=True)
class Timing:
    """Wall-clock seconds of a round's two halves; the columns of timing.csv."""

    round: int
    train_wall_s: float
    evaluate_wall_s: float
