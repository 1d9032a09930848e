"""Figures of the benchmark's scenarios in lab/results.md, from the tables of results.

python experiments/benchmark/figures.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import scenario as scenarios  # noqa: E402
from curves import runs_of  # noqa: E402
from page import README, SERVERS, evaluations, of_methods, placed, ranked  # noqa: E402

from distreal_sim.results.plots._curves import mean_curve  # noqa: E402
from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._lines import label_lines  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402
from distreal_sim.results.statistics import t_interval  # noqa: E402

FIGURES = HERE.parents[1] / "lab" / "figures"
TITLES = {
    "mnist_writers": "MNIST by writer",
    "mnist_dirichlet": "MNIST, Dirichlet 0.1",
    "phones": "MNIST by writer, phones",
}
FAR = {"digits": 0.04, "c16": 0.12, "c16_long": 0.12}
"""Differences of accuracy up to which the figure of one scenario has room."""
MANY = 8
"""Methods in a figure, at most, that all have curves."""
LINES = ("fedavg-partial", "heterofl", "small", "distreal", "distreal-ordered", "distreal-steps")
"""The methods whose curves are drawn where there are many."""

COSTS = {"sim_s": (60, "simulated minutes"), "energy_j": (1000, "kJ"), "upload_bytes": (1e6, "MB uploaded")}
"""What accuracy is drawn against: the unit's size and its name."""

LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "--"},
    {"color": "#D55E00", "linestyle": "-."},
    {"color": "#009E73", "linestyle": ":"},
)
"""Of servers."""


def main() -> None:
    """Draws them all."""
    for name in FAR:
        save(one_scenario(name), FIGURES / f"{name}_equal_terms.png")
    names = [name for name in TITLES if name in placed()]
    if names:
        save(equal_terms(names), FIGURES / "equal_terms.png")
    if SERVERS in placed():
        save(servers(), FIGURES / "servers.png")


def one_scenario(name: str) -> Figure:
    """Accuracy against time, and the final accuracy minus that of the first baseline, with 95 % intervals.

    Of many methods LINES alone have curves. A difference beyond FAR stands as a text at the edge.
    """
    scenario, table, far = scenarios.load(name), pd.read_csv(evaluations(name)), FAR[name]
    finals = of_methods(scenario)
    labels, rival = ranked(finals), scenario.baselines[0]
    drawn = labels if len(labels) <= MANY else [label for label in labels if label in LINES]
    lines = lines_of([table], drawn)
    with look():
        figure = Figure(figsize=(9.0, max(3.3, 1.0 + 0.24 * len(labels))))
        curves, differences = figure.subplots(1, 2, width_ratios=(1.5, 1))
        draw(curves, table, "sim_s", lines)
        curves.set(ylabel="accuracy", ylim=(0.4, 1.0) if name == README else None)
        for place, label in enumerate(reversed(labels)):
            mean, half = t_interval(finals[label] - finals[rival])
            if abs(mean) > far:
                differences.annotate(f"{mean:+.3f} ± {half:.3f}", (0.98 * -far, place), va="center")
                continue
            own = lines.get(label, {"color": "#555555", "marker": "."})
            differences.errorbar(mean, place, xerr=half, color=own["color"], marker=own["marker"], capsize=3)
        differences.axvline(0, color="#999999", linewidth=0.8, zorder=0)
        differences.set(xlim=(-far, far / 2), ylim=(-0.6, len(labels) - 0.4))
        differences.set_yticks(range(len(labels)), reversed(labels))
        differences.set_xlabel(f"final accuracy minus {rival}")
        named_above(figure, drawn)
    return figure


def lines_of(tables: Sequence[pd.DataFrame], labels: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """By label how its line is drawn, the same in all panels."""
    groups: dict[str, list[Any]] = {label: [] for label in labels}
    for table in tables:
        for run in runs_of(table, known([label for label in labels if label in set(table["method"])])):
            groups[run.label].append(run)
    return label_lines(groups)


def known(labels: Sequence[str]) -> dict[str, str]:
    """By label, which may go on after a comma, the method's name in configs."""
    methods = scenarios.known_methods()
    return {label: methods[label.partition(",")[0]].sets["method.name"] for label in labels}


def equal_terms(names: Sequence[str]) -> Figure:
    """A panel per scenario, a line per method: mean over the seeds and its 95 % interval."""
    tables = {name: pd.read_csv(evaluations(name)) for name in names}
    labels = [label for label in LINES if any(label in set(t["method"]) for t in tables.values())]
    lines = lines_of(list(tables.values()), labels)
    with look():
        figure = Figure(figsize=(3.1 * len(names), 3.0))
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            draw(axes, tables[name], "sim_s", lines)
            axes.set_title(TITLES[name])
            axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
        figure.axes[0].set_ylabel("accuracy")
        named_above(figure, list(lines))
    return figure


def servers() -> Figure:
    """A row per cost, a column per method, a line per server: mean over the seeds."""
    table = pd.read_csv(evaluations(SERVERS))
    table[["method", "server"]] = table["method"].str.split(", ", expand=True).to_numpy()
    looks = dict(zip(dict.fromkeys(table["server"]), LOOKS, strict=True))
    methods = list(dict.fromkeys(table["method"]))
    with look():
        figure = Figure(figsize=(2.9 * len(methods), 2.3 * len(COSTS) + 0.6))
        grid = figure.subplots(len(COSTS), len(methods), sharey=True, sharex="row", squeeze=False)
        for axes_of, cost in zip(grid, COSTS, strict=True):
            for axes, method in zip(axes_of, methods, strict=True):
                own = table[table["method"] == method]
                draw(axes, own.assign(method=own["server"]), cost, looks, band=False)
            axes_of[0].set_ylabel("accuracy")
        for axes, method in zip(grid[0], methods, strict=True):
            axes.set_title(method)
        named_above(figure, list(looks))
    return figure


def named_above(figure: Figure, labels: Sequence[str]) -> None:
    """A legend of the lines of all panels."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        found |= dict(zip(names, handles, strict=True))
    legend_above(figure, [found[label] for label in labels], labels)


def draw(
    axes: Axes, table: pd.DataFrame, cost: str, lines: Mapping[str, Mapping[str, Any]], band: bool = True
) -> None:
    """A line per label of `lines` that the table has; band: with its 95 % interval."""
    unit, name = COSTS[cost]
    for label, line in lines.items():
        own = table[table["method"] == label]
        if own.empty:
            continue
        seeds = [rows.sort_values("round") for _, rows in own.groupby("seed")]
        curve = mean_curve([(rows[cost].to_numpy(float), rows["accuracy"].to_numpy(float)) for rows in seeds])
        axes.plot(curve.x / unit, curve.mean, label=label, markevery=max(1, len(curve.x) // 4), **line)
        if band:
            axes.fill_between(curve.x / unit, *curve.band("ci"), color=line["color"], alpha=0.12, linewidth=0)
    axes.set_xlabel(name)
    axes.set_xlim(left=0)


if __name__ == "__main__":
    main()
