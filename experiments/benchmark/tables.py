"""The benchmark's tables in Markdown, made from the CSVs of its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import scenario as scenarios
from scenario import Scenario
from tuning import choose, named

from distreal_sim.base.errors import InputError
from distreal_sim.results.protocols import cost, quality, robust
from distreal_sim.results.statistics import t_interval

NOMINAL = "nominal"

HOLD = 2
"""Evaluations in a row that must have the target."""

UNITS = {
    "sim_s": "sim_s",
    "macs": "MACs",
    "download_bytes": "bytes down",
    "upload_bytes": "bytes up",
    "energy_j": "joules",
}
"""Costs in the order of the tables, and their heads."""


def report(results: Path, names: Sequence[str], protocol: str | None = None) -> str:
    """The tables of some scenarios, all protocols or one; scenarios without results are left out.

    Raises InputError where none has results.
    """
    found = [scenarios.load(name) for name in names]
    found = [scenario for scenario in found if (results / scenario.name / "evaluations.csv").exists()]
    if not found:
        raise InputError(
            f"{results} holds no evaluations.csv of {', '.join(names)}; place a method with `run`"
        )
    parts = []
    for scenario in found:
        chosen = PROTOCOLS if protocol is None else {protocol: PROTOCOLS[protocol]}
        texts = [text for make in chosen.values() if (text := make(results / scenario.name, scenario))]
        parts += [f"**{scenario.name}**", *texts]
    return "\n\n".join(parts)


def accuracy(folder: Path, scenario: Scenario) -> str:
    """Accuracy of each method, best first, its differences to the baselines, and the rate that was chosen."""
    finals = final(folder / "evaluations.csv", scenario.last)
    grids = pd.read_csv(folder / "tuning.csv")
    baselines = [name for name in scenario.baselines if name in finals]
    rows = []
    for method in sorted(finals, key=lambda name: -finals[name].mean()):
        own = finals[method]
        best = choose(grids[grids["method"] == method])
        differences = ["" if name == method else paired(own, finals[name]) for name in baselines]
        tuned = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in best.tuned.items())
        rate = f"{best.lr:g}" + (f", {tuned}" if tuned else "")
        edge = f"{rate} (edge: {best.at_edge})" if best.at_edge else rate
        rows.append([method, str(len(own)), plus_minus(*t_interval(own)), *differences, edge])
    return markdown(
        ["method", "seeds", "accuracy", *(f"minus {name}" for name in baselines), "tuned lr"], rows
    )


def tuning(folder: Path, scenario: Scenario) -> str:
    """The whole grid: mean accuracy on the held-out examples for each method and rate."""
    grids = named(pd.read_csv(folder / "tuning.csv"))
    grids["name"] = grids["method"] + grids["tuned"].map(lambda text: f" {text}" if text else "")
    means = grids.pivot_table(index="name", columns="lr", values="accuracy", sort=False).sort_index(axis=1)
    rows = [
        [str(name), *("" if pd.isna(value) else f"{value:.3f}" for value in row)]
        for name, row in zip(means.index, means.to_numpy(), strict=True)
    ]
    return markdown(["lr, held-out accuracy", *(f"{rate:g}" for rate in means.columns)], rows)


def quality_table(folder: Path, scenario: Scenario) -> str:
    """Quality under the scenario's budgets."""
    table = quality(points(folder / "evaluations.csv"), scenario.budgets)
    limits = ", ".join(f"{key} {limit:g}" for key, limit in scenario.budgets.items())
    rows = [
        [
            row["method"],
            plus_minus(row["quality"], row["quality_ci95"]),
            row["tested"],
            row["binding"] or "none",
        ]
        for row in table.sort_values("quality", ascending=False).to_dict("records")
    ]
    return markdown([f"quality under a budget: {limits}", "best accuracy", "seeds tested", "binding"], rows)


def cost_table(folder: Path, scenario: Scenario) -> str:
    """Cost to each of the scenario's targets."""
    reference = scenario.baselines[0]
    texts = []
    for target in scenario.targets:
        table = points(folder / "evaluations.csv")
        found = cost(table, target, HOLD, reference if reference in set(table["method"]) else None)
        rows = []
        for row in found.sort_values(["sim_s", "method"]).to_dict("records"):
            ratio = row.get("macs_ratio", float("nan"))
            cells = [number(row[key]) for key in UNITS if key in row]
            rows.append([row["method"], row["reached"], *cells, "" if pd.isna(ratio) else f"{ratio:.2f}"])
        units = [unit for key, unit in UNITS.items() if key in found]
        heads = [f"cost to {target:g}, median", "reached", *units]
        texts.append(markdown([*heads, f"MACs / {reference}"], rows))
    return "\n\n".join(texts)


def robust_table(folder: Path, scenario: Scenario) -> str:
    """Robustness to the scenario's conditions; empty without runs of them."""
    path = folder / "conditions.csv"
    if not path.exists():
        return ""
    table = robust(points(path), NOMINAL, scenario.targets[-1], HOLD, scenario.last)
    rows = [
        [
            row["method"],
            row["setting"],
            plus_minus(row["retention"], row["retention_ci95"]),
            number(row["slow_down"]),
            f"{row['nominal_rank']} -> {row['rank']}",
        ]
        for row in table.to_dict("records")
    ]
    return markdown(
        ["robustness", "condition", "accuracy / nominal", f"s to {scenario.targets[-1]:g} / nominal", "rank"],
        rows,
    )


PROTOCOLS: dict[str, Callable[[Path, Scenario], str]] = {
    "accuracy": accuracy,
    "tuning": tuning,
    "quality": quality_table,
    "cost": cost_table,
    "robust": robust_table,
}


def points(path: Path) -> pd.DataFrame:
    """A CSV of evaluations in the form of `distreal_sim.results.protocols.points`."""
    table = pd.read_csv(path)
    return (
        table.rename(columns={"condition": "setting"}) if "condition" in table else table.assign(setting="")
    )


def final(path: Path, n_last: int) -> dict[str, pd.Series[float]]:
    """By method and seed the mean accuracy of the last evaluations."""
    table = pd.read_csv(path).sort_values("round")
    means = table.groupby(["method", "seed"])["accuracy"].apply(lambda values: values.tail(n_last).mean())
    return {str(method): means[method] for method in means.index.unique("method")}


def paired(own: pd.Series[float], other: pd.Series[float]) -> str:
    """The difference over the seeds that both have, with the half-width of its 95 % t interval."""
    both = own.index.intersection(other.index)
    return plus_minus(*t_interval(own[both] - other[both]), sign="+")


def plus_minus(mean: float, half: float, sign: str = "") -> str:
    """Three digits; `-` where there is no mean."""
    if pd.isna(mean):
        return "-"
    return f"{mean:{sign}.3f}" + ("" if pd.isna(half) else f" ± {half:.3f}")


def number(value: float) -> str:
    """Three digits; `> end` for infinity, `-` for NaN."""
    if pd.isna(value):
        return "-"
    return "> end" if value == float("inf") else f"{value:.3g}"


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
