"""What the figures of several experiments share: tables of collect.py, means over seeds, lines of methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from distreal_sim.results.plots._lines import method_line
from distreal_sim.results.runs import Run

SHOWN = {
    "full": "fedavg",
    "fedavg-drop": "fedavg",
    "small": "small",
    "federated-dropout": "federated_dropout",
    "heterofl": "heterofl",
    "fjord": "fjord",
    "distreal": "distreal",
    "ordered-distreal": "ordered_distreal",
}
"""Labels of the sweeps, in the order of legends and tables, and the method whose look each has."""


def load(path: Path, score: str = "accuracy") -> pd.DataFrame:
    """The table; its column of the score's name is the better-defined one: see `fair`."""
    table = pd.read_csv(path)
    return table.assign(**{score: fair(table, score)})


def fair(table: pd.DataFrame, score: str = "accuracy") -> pd.Series[float]:
    """(rows,) score of the widest sub-network trained so far where a method has one, or of the whole."""
    return table[f"submodel_{score}"].fillna(table[f"test_{score}"])


def half_width(values: np.ndarray) -> np.ndarray:
    """Of the 95 % t interval of the mean over the first axis, which holds at least two seeds."""
    n = len(values)
    return np.asarray(stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n))


def interval(values: np.ndarray, form: str) -> str:
    """Mean and half width of the 95 % t interval, over the seeds."""
    return f"{format(values.mean(), form)} ± {format(float(half_width(values)), form.lstrip('+'))}"


def between(values: Iterable[float], form: str) -> str:
    """Smallest and largest, as in `0.4 to 0.6`; one number where both look alike."""
    texts = [format(value, form) for value in sorted(values)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def used_share(table: pd.DataFrame) -> pd.Series[float]:
    """(runs,) MACs done in a run over those that the selected clients had to offer."""
    last = table[table["round"] == table["round"].max()]
    return last["macs"] / last["macs_available"]


def late(table: pd.DataFrame, n_last: int) -> np.ndarray:
    """(seeds,) mean accuracy of the last evaluations of the runs of one method in one setting."""
    return np.asarray(by_seed(table)[1][:, -n_last:].mean(axis=1))


def by_seed(table: pd.DataFrame, value: str = "accuracy") -> tuple[np.ndarray, np.ndarray]:
    """(simulated seconds (E,), values (seeds, E)) of the runs of one method in one setting."""
    wide = table.pivot(index="seed", columns="sim_s", values=value).sort_index()
    return wide.columns.to_numpy(dtype=float), wide.to_numpy(dtype=float)


def runs_of(table: pd.DataFrame, methods: Mapping[str, str]) -> list[Run]:
    """Runs for the package's figures: labels in the order of `methods`, which has the method of each."""
    groups = dict(iter(table.rename(columns={"accuracy": "test_accuracy"}).groupby(["method", "seed"])))
    return [
        Run(Path(label), {"method": {"name": method}}, rows, label, seed)
        for label, method in methods.items()
        for (own, seed), rows in groups.items()
        if own == label
    ]


def draw(axes: Axes, table: pd.DataFrame, unit_s: float, shift: float) -> None:
    """A line per method, and the range of its seeds; unit_s: simulated seconds in a unit of the x axis."""
    present = [name for name in SHOWN if name in set(table["method"])]
    for place, name in enumerate(present):
        x, values = by_seed(table[table["method"] == name])
        style = look(name)
        every = max(1, len(x) // 5)
        first = int(shift * place * every / len(present)) if every > 1 else 0
        marks = list(range(first, len(x), every))
        axes.plot(x / unit_s, values.mean(axis=0), label=name, markevery=marks, **style)
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(x / unit_s, low, high, color=style["color"], alpha=0.08, linewidth=0)


def look(name: str) -> dict[str, Any]:
    """Line keywords of a label; `full`, the bound, is a thin grey line."""
    if name == "full":
        return {"color": "0.45", "linestyle": "-", "linewidth": 0.9}
    colour, _, _ = method_line(SHOWN[name])
    line = "--" if name == "ordered-distreal" else "-"
    return {"color": colour, "linestyle": line, "markersize": 3.5, "marker": MARKERS[name], "linewidth": 1.2}


MARKERS: dict[str, str] = dict(zip(SHOWN, " sPD^voX", strict=True))


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
