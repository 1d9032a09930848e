"""Columns of the result tables: each is declared once, at the field that holds its values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

InRound = Literal["sum", "mean"]
"""How rounds.csv summarises a column of clients.parquet: by its sum over all clients of the round, or by its
mean over the merged clients that have a value, weighted by examples."""

Kind = Literal["int", "float", "str"]


@dataclass(frozen=True)
class Column:
    """A column of clients.parquet.

    about: description with the unit. in_round: its summary in rounds.csv, under the same name.
    optional: whether a value may be missing; NaN marks a missing value.
    """

    name: str
    about: str
    in_round: InRound | None = None
    kind: Kind = "float"
    optional: bool = True


CHARGED = Column(
    "charged_macs",
    "MACs of its capacity that its work took, at the measured time of each step; an unfinished step included",
    "sum",
)
"""A further column where time is measured: it stands beside `macs_available` as `macs` does without it."""


OF_JOBS = (
    Column("start_s", "absolute simulated time at which the server sent its job"),
    Column("end_s", "absolute simulated time at which its update arrived, or the server gave it up"),
    Column("staleness", "steps of the server between the start of its job and its end", "mean"),
    Column("cancelled", "1 if the server cancelled its job, else 0", "sum"),
    Column(
        "refused", "1 if its update was too stale to be merged, or its round was abandoned, else 0", "sum"
    ),
)
"""Further columns where the order of a simulation is not that of rounds (`coordination`)."""


OF_RELAYS = (
    Column("waited_s", "simulated seconds from the round's start until it was sent another client's model"),
    Column(
        "mediator_bytes",
        "bytes between the server and its mediator, the model counted at the first client of a mediator and "
        "the update at the last; they take no time",
        "sum",
    ),
)
"""Further columns where clients start from each other's models (`Method.relays`)."""


SPEED_SHARE = Column("speed_share", "share of its capacity at which its controller let it compute")
SENDING_W = Column(
    "sending_w", "watts at which its controller let it send; empty without a model of its radio"
)
CONTROLLED = (SPEED_SHARE, SENDING_W)
"""Further columns where a controller sets the devices, and what clients are told by it."""


ASKED = Column("asked_macs", "MACs of what the selection asked it for, which are among its macs", "sum")
"""A further column where the selection asks clients before it selects them (`Selection.asks`)."""


PEAK_MEMORY = Column(
    "peak_memory_bytes",
    "bytes at the peak of its largest finished step, a whole step of its sub-network; empty without one",
)
"""A further column where memory is limited."""


def column(
    about: str,
    in_round: InRound | None = None,
    *,
    optional: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """A field of a dataclass that is a column; see `Column`."""
    metadata = {"about": about, "in_round": in_round, "optional": optional}
    return dataclasses.field(default=default, metadata=metadata)


def columns_of(row: type[Any]) -> dict[str, Column]:
    """The columns that a dataclass declares, by name."""
    found = {}
    for own in dataclasses.fields(row):
        if "about" in own.metadata:
            kind: Any = own.type if own.type in ("int", "float") else "str"
            found[own.name] = Column(own.name, kind=kind, **own.metadata)
    return found


def names_of(columns: Sequence[Column], in_round: bool = False) -> list[str]:
    """Names of the columns; in_round: only of those with a summary in rounds.csv."""
    return [c.name for c in columns if c.in_round is not None or not in_round]
