"""Time to accuracy: one row per experiment, means and 95 % intervals over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from distreal_sim.base.errors import InputError
from distreal_sim.results.directories import find_runs, group
from distreal_sim.results.runs import Run

__all__ = ["Run", "default_targets", "find_runs", "group", "seconds_to", "t_interval",
           "time_to_accuracy"]  # fmt: skip


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
    """Simulated seconds at the first evaluation that is at least as good as `target`; NaN if none is."""
    score = run.evaluated[run.y]
    reached = run.evaluated[score <= target + 1e-12 if run.lower else score >= target - 1e-12]
    return float(reached["sim_s"].iloc[0]) if len(reached) else math.nan


def default_targets(runs: Sequence[Run]) -> tuple[float, ...]:
    """Up to three round accuracies (multiples of 0.05, or 0.01 if that is too coarse) worth timing.

    The highest that all seeds of every label reach, that all seeds of the best label reach, and one
    half-way; none that every run has at its first evaluation already, and none of scores that are no shares.
    """
    runs = [run for run in runs if len(run.evaluated)]
    if not runs or runs[0].lower or not all(is_share(run.evaluated[run.y]) for run in runs):
        return ()
    best = {run: run.best() for run in runs}
    reached = [min(best[run] for run in seeds) for seeds in group(runs).values()]
    start = min(float(run.evaluated[run.y].iloc[0]) for run in runs)
    levels = (min(reached), (min(reached) + max(reached)) / 2, max(reached))
    for per_unit in (20, 100):
        targets = {math.floor(level * per_unit + 1e-9) / per_unit for level in levels}
        if kept := tuple(sorted(target for target in targets if target > start)):
            return kept
    return ()


def is_share(values: pd.Series[float]) -> bool:
    """Whether all values, such as accuracies, are in 0 .. 1."""
    return bool(values.between(0, 1).all())


def check_target(target: float, y: str, runs: Sequence[Run]) -> None:
    """Raises InputError for a target that a score cannot have: of accuracies one outside (0, 1]."""
    shares = all(is_share(run.evaluated[y]) for run in runs) and not any(run.lower for run in runs)
    if not math.isfinite(target) or (shares and not 0 < target <= 1):
        article = "an" if y[0] in "aeiou" else "a"
        raise InputError(f"target {target:g} must be {article} {y} in (0, 1], for example 0.8")


def time_to_accuracy(runs: Sequence[Run], targets: Sequence[float] | None = None) -> pd.DataFrame:
    """One row per label: scores, and the simulated seconds to each target, over seeds.

    `seeds`, `rounds` (finished by every seed), `stopped_early` (seeds that `stop` ended), of the score `y` of
    the runs, such as accuracy, `final_y` (see `Run.final`), `best_y`, `full_y` (the final one of the whole
    network; see `runs.Metric`), `macs_share`, `merged_share` and `completed_share` (see `Run`) are means over
    seeds; per target t: `sim_s_to_t` (mean over the seeds that reached it) and `reached_t` ("k of n"). A
    column `..._ci95` holds the half-width of the 95 % t-interval, NaN with fewer than two values. Targets
    default to `default_targets`; InputError for an accuracy outside (0, 1].
    """
    chosen = default_targets(runs) if targets is None else tuple(dict.fromkeys(targets))
    y = runs[0].y if runs else "accuracy"
    for target in chosen:
        check_target(target, y, runs)
    rows = []
    for label, seeds in group(runs).items():
        final, final_ci95 = t_interval(run.final() for run in seeds)
        best, best_ci95 = t_interval(run.best() for run in seeds if len(run.evaluated))
        full, full_ci95 = t_interval(run.final(run.column) for run in seeds)
        row: dict[str, object] = {
            "method": label,
            "seeds": len(seeds),
            "rounds": min(int(run.rounds["round"].iloc[-1]) for run in seeds),
            "stopped_early": sum(run.stopped_early is not None for run in seeds),
            f"final_{y}": final,
            f"final_{y}_ci95": final_ci95,
            f"best_{y}": best,
            f"best_{y}_ci95": best_ci95,
            f"full_{y}": full,
            f"full_{y}_ci95": full_ci95,
            "macs_share": t_interval(run.macs_share for run in seeds)[0],
            "merged_share": t_interval(run.merged_share for run in seeds)[0],
            "completed_share": t_interval(run.completed_share for run in seeds)[0],
        }
        for target in chosen:
            times_s = [seconds_to(run, target) for run in seeds]
            key = f"sim_s_to_{target:g}"
            row[key], row[f"{key}_ci95"] = t_interval(times_s)
            row[f"reached_{target:g}"] = f"{sum(map(math.isfinite, times_s))} of {len(seeds)}"
        rows.append(row)
    return pd.DataFrame(rows)
