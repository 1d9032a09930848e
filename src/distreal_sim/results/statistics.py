"""Time to accuracy: one row per experiment, means and 95 % intervals over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from distreal_sim.base.errors import InputError
from distreal_sim.results.runs import Run, find_runs, group

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

    `seeds`, `rounds` (finished by every seed), `stopped_early` (seeds that `stop` ended), `final_accuracy`
    (see `Run.final`), `best_accuracy`, `full_accuracy` (the final one of the whole network; see
    `runs.Metric`), `macs_share`, `merged_share` and `completed_share` (see `Run`) are means over seeds; per
    target t: `sim_s_to_t` (mean over the seeds that reached it) and `reached_t` ("k of n"). A column
    `..._ci95` holds the half-width of the 95 % t-interval, NaN with fewer than two values. Targets default to
    `default_targets`; InputError for one outside (0, 1].
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
            "stopped_early": sum(run.stopped_early is not None for run in seeds),
            "final_accuracy": final,
            "final_accuracy_ci95": final_ci95,
            "best_accuracy": best,
            "best_accuracy_ci95": best_ci95,
            "full_accuracy": full,
            "full_accuracy_ci95": full_ci95,
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
