"""Numbers of the screening in lab/search.md, from results.csv.

python experiments/cheaper_search/tables.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import half_width  # noqa: E402

NAMES = {"resnet20": ("ResNet-20", 12), "dense22.Dense22": ("DenseNet-BC, 22 layers", 21)}
"""Networks, and how many rates each has."""


def texts() -> list[str]:
    """Rows of the table: hypervolumes on fresh seeds, differences paired by the optimiser's seed."""
    table = pd.read_csv(HERE / "results.csv")
    rows = []
    for network, (name, n_rates) in NAMES.items():
        own = table[table["network"] == network]
        wide = own.pivot(index="seed", columns="variant", values="fresh")
        (uniform,) = own["uniform_fresh"].unique()
        gain = (wide["screening"] - wide["plain"]).to_numpy()
        half = float(half_width(gain))
        mean = gain.mean()
        cells = [name, str(n_rates), str(len(wide)), f"{uniform:.3f}"]
        cells += [f"{wide[v].mean():.3f} ({wide[v].std():.3f})" for v in ("plain", "screening")]
        rows.append(f"| {' | '.join(cells)} | {mean:+.3f} ({mean - half:.3f} to {mean + half:.3f}) |")
    return rows


if __name__ == "__main__":
    print("\n".join(texts()))
