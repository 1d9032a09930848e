"""The table of methods, as text for people and as CSV."""

from __future__ import annotations

import pandas as pd


def to_csv(table: pd.DataFrame) -> str:
    """`time_to_accuracy`'s or `compare`'s table as CSV text; what does not exist is an empty field."""
    return table.to_csv(index=False, lineterminator="\n")
