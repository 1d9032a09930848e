"""Figures and tables of the heterogeneity experiment in lab/results.md, from results.csv.

python experiments/heterogeneity/figures.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from curves import SHOWN, between, draw, interval, load, markdown, used_share  # noqa: E402

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
    """Writes the figures, prints the texts."""
    table = load(HERE / "results.csv")
    settings, cells, methods = parts(table)
    labels = [f"{SPREADS[spread]},\n{CHANGES[change]},\n{skew}" for skew, spread, change in settings]
    draw_curves(cells, settings)
    draw_heat(relative(frame(cells, settings, methods, seconds_to)), labels)
    draw_shares(frame(cells, settings, methods, mean_share), labels)
    print("\n".join(texts()))


def texts() -> list[str]:
    """What lab/results.md says, recomputed: rows of the tables, and parts of sentences."""
    table = load(HERE / "results.csv")
    settings, cells, methods = parts(table)
    others = [name for name in methods if name != BASELINE]
    rows = [
        *rows_of(cells, settings, methods, final_accuracy),
        *rows_of(cells, settings, others, None),
        *rows_of(cells, settings, methods, lambda part: [seconds_to(part)]),
    ]
    shares = frame(cells, settings, methods, mean_share)
    unequal = [i for i, s in enumerate(settings) if s[0] == "by writer" and s[1] == "1 to 20"]
    writers = [i for i, s in enumerate(settings) if s[0] == "by writer"]
    fixed = [name for name in ("heterofl", "federated-dropout") if name in methods]
    last = table[table["round"] == table["round"].max()]
    (n_updates,) = last["n_selected"].unique()
    late_updates = last[(last["method"] == "fedavg-drop") & (last["spread"] == "equal")]
    return [
        *rows,
        f"`small` uses {percent(shares.loc['small'].iloc[unequal])} of the MACs on offer",
        f"`distreal` uses {percent(shares.loc['distreal'].iloc[writers])}",
        f"{percent(shares.loc[fixed].to_numpy().ravel())} of the MACs (HeteroFL, Federated Dropout)",
        f"{percent(shares.loc['fjord'])} (FjORD)",
        f"completes {between(late_updates['n_completed'], 'd')} of {n_updates} updates",
        *swing(cells),
    ]


def parts(
    table: pd.DataFrame,
) -> tuple[list[tuple[str, ...]], dict[tuple[str, ...], pd.DataFrame], list[str]]:
    """Settings in the order of the table, the rows of each, and the methods in the order of the figures."""
    settings = list(dict.fromkeys(table[SETTING].itertuples(index=False, name=None)))
    methods = [name for name in SHOWN if name in set(table["method"])]
    return settings, dict(iter(table.groupby(SETTING, sort=False))), methods


def percent(shares: Iterable[float]) -> str:
    """From the smallest to the largest share."""
    return between([100 * share for share in shares], ".0f") + " %"


def swing(cells: dict[tuple[str, ...], pd.DataFrame]) -> list[str]:
    """Accuracies of one run of each method before and after its last round but one."""
    part = cells[SWING]
    run = part[part["seed"] == SWING_SEED]
    before, after = sorted(run["round"].unique())[-2:]
    wide = run.pivot(index="method", columns="round", values="accuracy")
    return [f"{name} from {wide.at[name, before]:.2f} to {wide.at[name, after]:.2f}" for name in wide.index]


SWING, SWING_SEED = ("by writer", "1 to 20", "10 a round"), 2
"""A setting and seed whose last round has a cohort that lets the accuracy of most methods fall."""

BASELINE = "small"


def seconds_to(part: pd.DataFrame) -> float:
    """Median over seeds of the seconds to the skew's target; inf: fewer than half of the runs met it."""
    first = part[part["accuracy"] >= TARGETS[part["skew"].iloc[0]]].groupby("seed")["sim_s"].min()
    return float(np.median(first.reindex(part["seed"].unique()).fillna(np.inf)))


def mean_share(part: pd.DataFrame) -> float:
    """MACs done in the run over those that the selected clients had to offer, mean over the seeds."""
    return float(used_share(part).mean())


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


def rows_of(cells, settings, methods, value) -> list[str]:  # type: ignore[no-untyped-def]
    """A row a setting, a column a method; value: values by seed, or None for differences to the baseline."""
    rows = []
    for setting in settings:
        row = [", ".join((SPREADS[setting[1]], CHANGES[setting[2]], setting[0]))]
        part = cells[setting]
        base = final_accuracy(part[part["method"] == BASELINE])
        for name in methods:
            own = part[part["method"] == name]
            if value is None:
                row.append(interval(np.subtract(final_accuracy(own), base), "+.3f"))
            else:
                values = np.array(value(own))
                row.append(interval(values, ".3f") if len(values) > 1 else _seconds(values[0]))
        rows.append(row)
    return markdown(["setting", *methods], rows).splitlines()[2:]


def _seconds(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "-"


if __name__ == "__main__":
    main()
