"""Time to accuracy: one row per experiment, means and 95 % intervals over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.special import stdtrit

from distreal_sim.errors import InputError
from distreal_sim.runs import Run, find_runs, group
from distreal_sim.swept import short_names

__all__ = ["Run", "default_targets", "find_runs", "group", "render", "seconds_to", "t_interval",
           "time_to_accuracy", "to_csv"]  # fmt: skip


def t_interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % t-interval of the finite `values`; NaN where there is none.

    One value has a mean and no interval: mean +- t(0.975, n - 1) * std / sqrt(n), std with n - 1.
    """
    finite = np.array([v for v in values if math.isfinite(v)], dtype=np.float64)
    if finite.size == 0:
        return math.nan, math.nan
    if finite.size == 1:
        return float(finite[0]), math.nan
    half = stdtrit(finite.size - 1, 0.975) * finite.std(ddof=1) / math.sqrt(finite.size)
    return float(finite.mean()), float(half)


def seconds_to(run: Run, target: float) -> float:
    """Simulated seconds at the first evaluation with at least the accuracy `target`; NaN if none has."""
    reached = run.evaluated[run.evaluated["accuracy"] >= target - 1e-12]
    return float(reached["sim_s"].iloc[0]) if len(reached) else math.nan


def default_targets(runs: Sequence[Run]) -> tuple[float, ...]:
    """Up to three round accuracies (multiples of 0.05, or 0.01 if that is too coarse) worth timing.

    The highest that all seeds of every label reach, that all seeds of the best label reach, and one
    half-way; none that every run has at its first evaluation already.
    """
    runs = [run for run in runs if len(run.evaluated)]
    if not runs:
        return ()
    best = {run: float(run.evaluated["accuracy"].max()) for run in runs}
    reached = [min(best[run] for run in seeds) for seeds in group(runs).values()]
    start = min(float(run.evaluated["accuracy"].iloc[0]) for run in runs)
    levels = (min(reached), (min(reached) + max(reached)) / 2, max(reached))
    for per_unit in (20, 100):
        targets = {math.floor(level * per_unit + 1e-9) / per_unit for level in levels}
        if kept := tuple(sorted(target for target in targets if target > start)):
            return kept
    return ()


def time_to_accuracy(runs: Sequence[Run], targets: Sequence[float] | None = None) -> pd.DataFrame:
    """One row per label: accuracies, and the simulated seconds to each target, over seeds.

    `seeds`, `rounds` (finished by every seed), `final_accuracy` (see `Run.final`), `best_accuracy`,
    `full_accuracy` (the final one of the whole network; see `runs.Metric`), `macs_share` and
    `completed_share` (see `Run`) are means over seeds; per target t: `sim_s_to_t` (mean over the seeds that
    reached it) and `reached_t` ("k of n"). A column `..._ci95` holds the half-width of the 95 % t-interval,
    NaN with fewer than two values. Targets default to `default_targets`; InputError for one outside (0, 1].
    """
    chosen = default_targets(runs) if targets is None else tuple(dict.fromkeys(targets))
    for target in chosen:
        if not 0 < target <= 1:
            raise InputError(f"target {target:g} must be an accuracy in (0, 1], for example 0.8")
    rows = []
    for label, seeds in group(runs).items():
        evaluated = [run.evaluated for run in seeds if len(run.evaluated)]
        final, final_ci95 = t_interval(run.final() for run in seeds)
        best, best_ci95 = t_interval(float(e["accuracy"].max()) for e in evaluated)
        full, full_ci95 = t_interval(run.final("test_accuracy") for run in seeds)
        row: dict[str, object] = {
            "method": label,
            "seeds": len(seeds),
            "rounds": min(int(run.rounds["round"].iloc[-1]) for run in seeds),
            "final_accuracy": final,
            "final_accuracy_ci95": final_ci95,
            "best_accuracy": best,
            "best_accuracy_ci95": best_ci95,
            "full_accuracy": full,
            "full_accuracy_ci95": full_ci95,
            "macs_share": t_interval(run.macs_share for run in seeds)[0],
            "completed_share": t_interval(run.completed_share for run in seeds)[0],
        }
        for target in chosen:
            times_s = [seconds_to(run, target) for run in seeds]
            key = f"sim_s_to_{target:g}"
            row[key], row[f"{key}_ci95"] = t_interval(times_s)
            row[f"reached_{target:g}"] = f"{sum(map(math.isfinite, times_s))} of {len(seeds)}"
        rows.append(row)
    return pd.DataFrame(rows)


def render(table: pd.DataFrame, console: Console | None = None, n_last: int = 1) -> None:
    """Print `time_to_accuracy`'s or `compare`'s table for people; never cut off when piped.

    n_last: what the final accuracies are means of; see `Run`.
    """
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, 200))
    columns = list(table.columns)
    setting = columns[: columns.index("method")]
    targets = [c.removeprefix("reached_") for c in columns if c.startswith("reached_")]
    extra = [heading for heading in ("rank", "difference") if heading in columns]
    accuracies = ["final", "best"]
    if not table["full_accuracy"].equals(table["final_accuracy"]):
        accuracies.append("full")  # of the whole network, which in part nobody may have trained
    caption = "mean ± half-width of the 95 % interval; seconds: over the seeds that got there"
    if "difference" in extra:
        caption += "; difference: of final accuracies, to the baseline's on the same seeds"
    if "full" in accuracies:
        caption += "; full: final accuracy of the whole network, the others: of its largest trained part"
    if n_last > 1:
        caption += f"; final: mean of the last {n_last} evaluations"
    shown = Table(caption=caption)
    names = short_names(setting)
    for heading in (*(names[key] for key in setting), "method"):
        shown.add_column(heading)
    headings = [f"{which} accuracy" for which in accuracies]
    for heading in ("seeds", "rounds", *headings, "MACs used", *extra):
        shown.add_column(heading, justify="right")
    for target in targets:
        shown.add_column(f"simulated s to {target}", justify="right")
    before: list[str] | None = None
    for row in table.to_dict("records"):
        here = [str(row[key]) for key in setting]
        if before is not None and here != before:
            shown.add_section()
        cells = [*(here if here != before else [""] * len(here)), str(row["method"])]
        cells += [str(row["seeds"]), str(row["rounds"])]
        cells += [_plus_minus(row, f"{which}_accuracy", "{:.4f}") for which in accuracies]
        cells.append("-" if math.isnan(row["macs_share"]) else f"{row['macs_share']:.0%}")
        if "rank" in extra:
            cells.append("-" if math.isnan(row["rank"]) else f"{row['rank']:.0f}")
        if "difference" in extra:
            cells.append(_plus_minus(row, "difference", "{:.4f}", sign="+"))
        for target in targets:
            seconds = _plus_minus(row, f"sim_s_to_{target}", "{:,.1f}")
            cells.append(f"{seconds} ({row[f'reached_{target}']})")
        shown.add_row(*map(escape, cells))
        before = here
    console.print(shown)


def to_csv(table: pd.DataFrame) -> str:
    """`time_to_accuracy`'s or `compare`'s table as CSV text; what does not exist is an empty field."""
    return table.to_csv(index=False, lineterminator="\n")


def _plus_minus(row: Mapping[Any, Any], key: str, form: str, sign: str = "") -> str:
    """`mean ± half`; sign: `+` shows the sign of a positive mean."""
    if math.isnan(row[key]):
        return "-"
    half = row[f"{key}_ci95"]
    mean = form.replace(":", f":{sign}").format(row[key])
    return mean + ("" if math.isnan(half) else f" ± {form.format(half)}")
