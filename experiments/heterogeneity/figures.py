"""Figures and tables of the heterogeneity experiment in lab/results.md, from results.csv.

python experiments/heterogeneity/figures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import SHOWN, draw, half_width, load, markdown  # noqa: E402

from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402

FIGURES = HERE.parents[1] / "lab" / "figures"
SETTING = ["skew", "spread", "change"]
SPREADS = {"equal": "equal devices", "1 to 20": "1 to 20"}
CHANGES = {"never": "constant", "10 a round": "10 changes"}
TARGETS = {"by writer": 0.9, "Dirichlet 0.1": 0.3}
"""Accuracies whose simulated time is compared, by skew: both lie where most methods get in these runs."""
LAST = 3
"""Evaluations over which the final accuracy is averaged, because a single one depends much on its cohort."""
UNIT_S = 60.0


def main() -> None:
    """Writes the figures, prints the tables."""
    table = load(HERE / "results.csv")
    settings = list(dict.fromkeys(table[SETTING].itertuples(index=False, name=None)))
    labels = [f"{SPREADS[spread]},\n{CHANGES[change]},\n{skew}" for skew, spread, change in settings]
    cells = dict(iter(table.groupby(SETTING, sort=False)))
    methods = [name for name in SHOWN if name in set(table["method"])]
    draw_curves(cells, settings)
    times = frame(cells, settings, methods, seconds_to)
    draw_heat(relative(times), labels)
    shares = frame(cells, settings, methods, used_share)
    draw_shares(shares, labels)
    print(f"accuracy, mean of rounds {late(table)}, {seeds(table)} seeds, half width of the 95 % interval\n")
    print(text(cells, settings, methods, final_accuracy))
    print(f"\nminus {BASELINE}, paired by seed\n")
    others = [name for name in methods if name != BASELINE]
    print(text(cells, settings, others, None))
    print(f"\nmedian simulated seconds to {goals()}\n")
    print(text(cells, settings, methods, lambda part: [seconds_to(part)]))


BASELINE = "small"


def late(table: pd.DataFrame) -> str:
    """The rounds of the final accuracy in words."""
    return ", ".join(str(number) for number in sorted(table["round"].unique())[-LAST:])


def goals() -> str:
    """The targets in words."""
    return ", ".join(f"{target:g} ({skew})" for skew, target in TARGETS.items())


def seeds(table: pd.DataFrame) -> int:
    """Number of seeds."""
    return int(table["seed"].nunique())


def seconds_to(part: pd.DataFrame) -> float:
    """Median over seeds of the seconds to the skew's target; inf: fewer than half of the runs met it."""
    first = part[part["accuracy"] >= TARGETS[part["skew"].iloc[0]]].groupby("seed")["sim_s"].min()
    return float(np.median(first.reindex(part["seed"].unique()).fillna(np.inf)))


def used_share(part: pd.DataFrame) -> float:
    """MACs done in the run over those that the selected clients had to offer, mean over the seeds."""
    last = part[part["sim_s"] == part["sim_s"].max()]
    return float((last["macs"] / last["macs_available"]).mean())


def final_accuracy(part: pd.DataFrame) -> list[float]:
    """Accuracy of every seed, mean of the last evaluations, in the order of the seeds."""
    rounds = sorted(part["round"].unique())[-LAST:]
    return part[part["round"].isin(rounds)].groupby("seed")["accuracy"].mean().tolist()


def frame(cells, settings, methods, value) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """value(rows of a method in a setting), one row a method, one column a setting."""
    columns = [[value(cells[s][cells[s]["method"] == m]) for m in methods] for s in settings]
    return pd.DataFrame(np.array(columns).T, index=methods)


def relative(times: pd.DataFrame) -> pd.DataFrame:
    """Each method's time over that of the fastest other one; NaN where it did not get there."""
    found = {}
    for name in times.index:
        rival = times.drop(index=name).min()
        ratio = times.loc[name] / rival
        found[name] = ratio.where(np.isfinite(times.loc[name]))
    return pd.DataFrame(found).T


def draw_curves(cells: dict[tuple[str, ...], pd.DataFrame], settings: list[tuple[str, ...]]) -> None:
    """Accuracy against simulated time, a panel a setting."""
    rows = list(dict.fromkeys(s[0] for s in settings))
    columns = list(dict.fromkeys(s[1:] for s in settings))
    with look():
        figure = Figure(figsize=(1 + 1.95 * len(columns), 1 + 2.0 * len(rows)))
        grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
        for setting in settings:
            axes = grid[rows.index(setting[0]), columns.index(setting[1:])]
            draw(axes, cells[setting], UNIT_S, 1.0)
            axes.set_title(f"{SPREADS[setting[1]]},\n{CHANGES[setting[2]]}")
            axes.set_ylim(0, 1)
        for row, axes in zip(rows, grid[:, 0], strict=True):
            axes.set_ylabel(f"{row}\ntest accuracy")
        figure.supxlabel("Simulated time (min)", fontsize=9)
        legend_above(figure, *grid[0, 0].get_legend_handles_labels())
        save(figure, FIGURES / "heterogeneity.png")


def draw_heat(ratios: pd.DataFrame, labels: list[str]) -> None:
    """Time to the target over that of the best rival: below 1 (blue) the method is the fastest of all."""
    texts = ratios.map(lambda ratio: "-" if np.isnan(ratio) else "only" if ratio == 0 else f"{ratio:.2f}")
    with look():
        image, bar = _table_figure(ratios, texts, labels, cmap="RdBu_r", norm=LogNorm(1 / 4, 4))
        bar.set_ticks([1 / 4, 1 / 2, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
        bar.minorticks_off()
        bar.set_label("Time to target / best rival's")
        save(image, FIGURES / "heterogeneity_time.png")


def draw_shares(shares: pd.DataFrame, labels: list[str]) -> None:
    """Which share of the offered MACs each method used."""
    with look():
        image, bar = _table_figure(
            shares, shares.map("{:.2f}".format), labels, cmap="Greens", norm=Normalize(0, 1)
        )
        bar.set_label("MACs used / offered")
        save(image, FIGURES / "heterogeneity_share.png")


def _table_figure(
    values: pd.DataFrame, texts: pd.DataFrame, labels: list[str], *, cmap: str, norm: Normalize
) -> tuple[Figure, Colorbar]:
    """Methods x settings as coloured cells with texts, and the bar of their colours."""
    figure = Figure(figsize=(2.3 + 0.95 * len(labels), 1.2 + 0.36 * len(values)))
    axes = figure.subplots()
    axes.grid(False)
    image = axes.imshow(values, cmap=cmap, norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(values.to_numpy()):
        red, green, blue, _ = image.cmap(norm(value)) if np.isfinite(value) else (1.0, 1.0, 1.0, 1.0)
        colour = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "0.1"
        axes.text(column, row, texts.iat[row, column], ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_yticks(range(len(values)), list(values.index))
    return figure, figure.colorbar(image, ax=axes)


def text(cells, settings, methods, value) -> str:  # type: ignore[no-untyped-def]
    """A row a setting, a column a method; value: values by seed, or None for differences to the baseline."""
    rows = []
    for setting in settings:
        row = [", ".join((SPREADS[setting[1]], CHANGES[setting[2]], setting[0]))]
        part = cells[setting]
        base = final_accuracy(part[part["method"] == BASELINE])
        for name in methods:
            own = part[part["method"] == name]
            if value is None:
                row.append(_interval(np.subtract(final_accuracy(own), base), "+.3f"))
            else:
                values = np.array(value(own))
                row.append(_interval(values, ".3f") if len(values) > 1 else _seconds(values[0]))
        rows.append(row)
    return markdown(["setting", *methods], rows)


def _interval(values: np.ndarray, form: str) -> str:
    return f"{format(values.mean(), form)} ± {half_width(values):.3f}"


def _seconds(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "-"


if __name__ == "__main__":
    main()
