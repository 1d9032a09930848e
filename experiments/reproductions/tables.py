"""Numbers of the reproduction in lab/results.md, from results.csv.

python experiments/reproductions/tables.py
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import interval, late, load  # noqa: E402

BASELINE = "heterofl"


def texts() -> list[str]:
    """Rows of the table: accuracy after the last round, and the difference to the baseline paired by seed."""
    table = load(HERE / "results.csv")
    ends = {str(name): late(part, 1) for name, part in table.groupby("method")}
    rows = []
    for name in sorted(ends, key=lambda name: ends[name].mean()):
        minus = "" if name == BASELINE else interval(ends[name] - ends[BASELINE], "+.3f") + " "
        rows.append(f"| {name} | {interval(ends[name], '.3f')} | {minus}|")
    return rows


if __name__ == "__main__":
    print("\n".join(texts()))
