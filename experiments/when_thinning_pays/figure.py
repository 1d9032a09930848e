"""Figure and numbers of "When does thinning pay?" in lab/search.md, from results/*.csv.

python experiments/when_thinning_pays/figure.py
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from measure_stages import NETWORKS  # noqa: E402

from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402
from distreal_sim.search.worth import Worth, fewer_steps, stretched, worth_of  # noqa: E402

FIGURE = HERE.parents[1] / "lab" / "figures" / "when_thinning_pays.png"
STAGES = ("early", "middle", "late")
LOOKS = {
    "random, every batch": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "random, once": {"color": "#0072B2", "marker": "^", "linestyle": (0, (5, 1.5))},
    "ordered": {"color": "#009E73", "marker": "s", "linestyle": (0, (1.5, 1.2))},
}
RESAMPLES = 1000
"""Bootstrap samples of the repeats."""


def main() -> None:
    """Draws the figure, prints the texts."""
    draw()
    print("\n".join(texts()))


def texts() -> list[str]:
    """Rows of the table: where thinning pays, by network and stage."""
    rows = []
    for name, table in measured().items():
        for stage, steps in zip(STAGES, sorted(table["steps"].unique()), strict=True):
            own = table[table["steps"] == steps]
            cells = [says(worth(own[own["filters"] == kind])) for kind in LOOKS]
            rows.append(f"| `{name}` | {stage}, {steps} | {' | '.join(cells)} |")
    return rows


def measured() -> dict[str, pd.DataFrame]:
    """The tables of the networks that were measured."""
    found = {name: HERE / "results" / f"{name}.csv" for name in NETWORKS}
    return {name: pd.read_csv(path) for name, path in found.items() if path.exists()}


def says(found: Worth | None) -> str:
    """Where thinning pays, in per cent of the MACs, and the largest mean gain there is."""
    if found is None:
        return "no progress to compare with"
    ranges = ", ".join(f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in found.pays) or "never"
    return f"{ranges}; at best {found.best.value:+.2f}"


def worth(table: pd.DataFrame) -> Worth | None:
    """Of the rows of one kind of filters and one stage: thinned steps against fewer full ones."""
    thinned, full = drops(table[table["share"] == 1], "relative_macs"), drops(full_of(table), "share")
    n_repeats = thinned.shape[1]
    picks = resamples(n_repeats)
    found, steps = (
        stretched(kind.to_numpy()[:, picks].mean(axis=2).T, n_repeats) for kind in (thinned, full)
    )
    return worth_of(list(thinned.index), found, list(full.index), steps)


def full_of(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the full network, after every measured share of the steps."""
    return table[table["relative_macs"] == 1]


def all_steps(table: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of all steps of the full network."""
    return (table["relative_macs"] == 1) & (table["share"] == 1)


def drops(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """(values of `by`, repeats) drops of the loss."""
    return table.pivot(index=by, columns="repeat", values="drop").sort_index()


@functools.cache
def resamples(n_repeats: int) -> np.ndarray:
    """(1 + RESAMPLES, n_repeats) repeats: as measured, and drawn with replacement."""
    rng = np.random.default_rng(1)
    return np.vstack([np.arange(n_repeats), rng.integers(n_repeats, size=(RESAMPLES, n_repeats))])


def draw() -> None:
    """A row a network, a column a stage."""
    tables = measured()
    with look():
        figure = Figure(figsize=(6.6, 0.9 + 1.75 * len(tables)))
        panels = figure.subplots(len(tables), len(STAGES), sharex=True, squeeze=False)
        for row, (name, table) in zip(panels, tables.items(), strict=True):
            for axes, stage, steps in zip(row, STAGES, sorted(table["steps"].unique()), strict=True):
                panel(axes, table[table["steps"] == steps])
                axes.set_title(f"{name}\n{stage}: after {steps} steps", fontsize=7.5)
        figure.supxlabel("Training MACs, relative to all full steps", fontsize=9)
        figure.supylabel("Progress, relative to all full steps", fontsize=9)
        legend_above(figure, *panels[0][0].get_legend_handles_labels())
        save(figure, FIGURE)


def panel(axes: Axes, table: pd.DataFrame) -> None:
    """Thinned steps of each kind, with standard errors; fewer full steps from both kinds of snapshots.

    Left out are kinds with which all full steps make no progress.
    """
    grid = np.linspace(0, 1, 101)
    whole = {kind: own["drop"].mean() for kind, own in table[all_steps(table)].groupby("filters")}
    table = table[table["filters"].map(whole) > 0]
    for kind, label, colour in (
        ("random, every batch", "fewer full steps", "0.0"),
        ("ordered", "the same, snapshots of ordered filters", "0.6"),
    ):
        full = drops(full_of(table[table["filters"] == kind]), "share")
        if full.empty:
            axes.text(0.97, 0.03, "random: no progress", fontsize=7, ha="right", transform=axes.transAxes)
            continue
        means = full.mean(axis=1)
        curve = fewer_steps(list(full.index), list(means / means.iloc[-1]), grid)
        axes.plot(grid, curve, color=colour, linewidth=1.4, label=label)
    for kind, style in LOOKS.items():
        own = table[table["filters"] == kind]
        if own.empty:
            continue
        thinned = drops(own[own["share"] == 1], "relative_macs") / whole[kind]
        axes.errorbar(
            thinned.index,
            thinned.mean(axis=1),
            thinned.std(axis=1) / np.sqrt(thinned.shape[1]),
            label=f"thinned: {kind}",
            markersize=3,
            linewidth=1.0,
            **style,
        )
    axes.axhline(0, color="0.7", linewidth=0.6)


if __name__ == "__main__":
    main()
