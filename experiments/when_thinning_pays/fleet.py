"""What the two scores of `search` say of the benchmark's fronts, beside complete runs: lab/search.md.

python experiments/when_thinning_pays/fleet.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "benchmark")]

import scenario as scenarios  # noqa: E402
from measure_fleet import RUNS  # noqa: E402
from page import of_methods  # noqa: E402
from tables import paired  # noqa: E402

from distreal_sim.results.plots._legend import legend_above  # noqa: E402
from distreal_sim.results.plots._save import look, save  # noqa: E402
from distreal_sim.search.worth import fewer_steps, of_front, stretched  # noqa: E402

FIGURE = HERE.parents[1] / "lab" / "figures" / "fleet_score.png"
SCORES = ("central", "federated")
BUDGETS = np.arange(50, 1000) / 1000
"""Relative MACs at which a front is compared with fewer full steps."""
RESAMPLES = 1000
"""Bootstrap samples of the repeats, within each snapshot."""
CHEAPEST = "c16"
"""The scenario whose cheapest entry is told of."""
AGAIN = HERE / "results" / "fleet" / "mnist_writers-searched.csv"
"""The front that rounds of this scenario's fleet scored, scored again with more seeds."""
MOSTLY_WEAK = AGAIN.with_stem(f"{AGAIN.stem}-weak")
"""The same with nine weak clients of ten."""
METHOD, RIVAL = "distreal-steps-central", "fedavg-partial"


def main() -> None:
    """Draws the figure, prints the texts."""
    draw()
    print("\n".join(texts()))


def texts() -> list[str]:
    """A row a scenario: its front minus fewer full steps, by either score and in complete runs; what the
    cheapest entry achieves in a fleet; the front of AGAIN and of MOSTLY_WEAK minus fewer full steps; and what
    the fewest full steps of the latter achieve.
    """
    tables = measured()
    cost, score = cheapest(tables[CHEAPEST])
    mostly_weak = pd.read_csv(MOSTLY_WEAK)
    return [
        *(row(name, table) for name, table in tables.items()),
        f"with {100 * cost:.1f} % of the MACs has {100 * score:.0f} % of the score of all full steps",
        f"more than fewer full steps by {gain(pd.read_csv(AGAIN))}",
        f"with nine weak clients of ten by {gain(mostly_weak)}",
        f"one full step of four has {100 * fewest(mostly_weak):.0f} % of the score",
    ]


def fewest(table: pd.DataFrame) -> float:
    """The score of the fewest full steps that were measured, relative to that of all."""
    means = table[table["kind"] == "full"].groupby("share")["drop"].mean()
    return float(means.iloc[0] / means.loc[1.0])


def cheapest(table: pd.DataFrame) -> tuple[float, float]:
    """Of the front's cheapest entry the relative MACs, and the score in a fleet, relative to full steps."""
    means = table[table["score"] == "federated"].groupby(["kind", "relative_macs", "share"])["drop"].mean()
    cost = float(means["front"].index[0][0])
    return cost, float(means["front"].iloc[0] / means["full", 1.0, 1.0])


def row(name: str, table: pd.DataFrame) -> str:
    """A row of the table."""
    finals = of_methods(scenarios.load(name))
    said = [gain(table[table["score"] == score]) for score in SCORES]
    return f"| `{name}` | {' | '.join(said)} | {paired(finals[METHOD], finals[RIVAL])} |"


def measured() -> dict[str, pd.DataFrame]:
    """The tables of the scenarios that were measured."""
    paths = {name: HERE / "results" / "fleet" / f"{name}.csv" for name in RUNS}
    return {name: pd.read_csv(path) for name, path in paths.items() if path.exists()}


def gain(table: pd.DataFrame) -> str:
    """The front minus fewer full steps, mean over BUDGETS, relative to all full steps, in per cent."""
    differences = [100 * (front - full).mean() for front, full in curves(table)]
    if not differences:
        return "no progress to compare with"
    low, high = np.percentile(differences[1:], [2.5, 97.5])
    return f"{differences[0]:+.1f} % ({low:+.1f} to {high:+.1f})"


def curves(table: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Progress at BUDGETS with the front and with fewer full steps, relative to all full steps.

    The first pair is as measured, the others are of resampled repeats; see `search.worth`. Nothing where all
    full steps make no progress.
    """
    entries = costs_of(table, "front")
    is_full = [bool(n) for n in np.isclose(entries, shares_of_front(table), rtol=1e-4)]
    front, full = (pivot(table[table["kind"] == kind], by) for kind, by in COSTS.items())
    n_snapshots, n_repeats = front.shape[1:]
    rng = np.random.default_rng(1)
    drawn = rng.integers(n_repeats, size=(RESAMPLES, n_snapshots, n_repeats))
    once = np.tile(np.arange(n_repeats), (1, n_snapshots, 1))
    all_picks = np.concatenate([once, drawn])
    rows, full_rows = (
        np.array([np.take_along_axis(drops, picks[None], axis=2).mean(axis=(1, 2)) for picks in all_picks])
        for drops in (front, full)
    )
    found: list[tuple[np.ndarray, np.ndarray]] = []
    if full_rows[0, -1] <= 0:
        return found
    for own, of_full in zip(
        *(stretched(means, n_repeats, n_snapshots) for means in (rows, full_rows)), strict=True
    ):
        if of_full[-1] > 0:
            rival = fewer_steps(costs_of(table, "full"), of_full.tolist(), BUDGETS)
            heights = of_front(entries, own, is_full, BUDGETS, rival)
            found.append((heights / of_full[-1], rival / of_full[-1]))
    return found


COSTS = {"front": "relative_macs", "full": "share"}
"""By kind of rows the column of their cost."""


def costs_of(table: pd.DataFrame, kind: str) -> list[float]:
    """Costs of the rows of a kind, growing."""
    return sorted(table.loc[table["kind"] == kind, COSTS[kind]].unique())


def shares_of_front(table: pd.DataFrame) -> list[float]:
    """Shares of the steps of the front's entries, cheapest first; the full network costs its share."""
    rows = table[table["kind"] == "front"].drop_duplicates("relative_macs")
    return rows.sort_values("relative_macs")["share"].tolist()


def pivot(table: pd.DataFrame, by: str) -> np.ndarray:
    """(costs, snapshots, repeats) drops of the loss."""
    wide = table.pivot(index=by, columns=["steps", "repeat"], values="drop").sort_index(axis=1).sort_index()
    n_snapshots, n_repeats = table["steps"].nunique(), table["repeat"].nunique()
    return wide.to_numpy().reshape(len(wide), n_snapshots, n_repeats)


def draw() -> None:
    """A column a scenario, a row a score."""
    tables = measured()
    with look():
        figure = Figure(figsize=(1.1 + 1.6 * len(tables), 4.2))
        panels = figure.subplots(len(SCORES), len(tables), sharex=True, squeeze=False)
        for row, score in zip(panels, SCORES, strict=True):
            for axes, (name, table) in zip(row, tables.items(), strict=True):
                axes.set_title(f"{name}\n{score}", fontsize=8)
                pairs = np.array(curves(table[table["score"] == score]))
                if not len(pairs):
                    axes.text(0.5, 0.5, "no progress", fontsize=7, ha="center", transform=axes.transAxes)
                    axes.set_yticks([])
                    continue
                for index, (label, colour, style) in enumerate(
                    (("the front", "#D55E00", "-"), ("fewer full steps", "0.0", (0, (4, 1.5))))
                ):
                    low, high = np.percentile(pairs[1:, index], [2.5, 97.5], axis=0)
                    axes.fill_between(BUDGETS, low, high, color=colour, alpha=0.15, linewidth=0)
                    axes.plot(BUDGETS, pairs[0, index], color=colour, linestyle=style, label=label)
        figure.supxlabel("Training MACs, relative to all full steps", fontsize=9)
        figure.supylabel("Progress, relative to all full steps", fontsize=9)
        legend_above(figure, *panels[0][0].get_legend_handles_labels())
        save(figure, FIGURE)


if __name__ == "__main__":
    main()
