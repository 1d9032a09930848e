"""Tables: CSV or parquet with a row for each client and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distreal_sim.devices.traces.files import read_table
from distreal_sim.devices.traces.samples import Names, Samples, column, numbers, seconds


def read(path: Path, names: Names) -> Samples:
    """The rows of a table with the columns client, time_s and level, unless `names` says otherwise.

    A table of times and levels alone is one trace; one of clients and levels alone has one level a client.
    Raises InputError for one in which other columns stand in the place of these.
    """
    table = read_table(path)
    level = names.level or "level"
    levels = numbers(column(table, level, path), "the level", path)
    client, time = names.client or "client", names.time or "time_s"
    others = set(table.columns) - {level, client, time}
    if not (client in table.columns or (time in table.columns and not others and names.client is None)):
        column(table, client, path)
    if not (time in table.columns or (client in table.columns and not others and names.time is None)):
        column(table, time, path)
    clients = table[client].astype(str).to_numpy() if client in table.columns else np.full(len(table), "0")
    return Samples(clients, seconds(table[time], "the time", path) if time in table.columns else None, levels)
