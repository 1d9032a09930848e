"""Methods judged by quality and cost together, from the evaluations of finished runs.

Quality under a budget, cost to a target, robustness to change: the three questions are those of Geng et al.,
EdgeFlowerTune, arXiv 2605.08636, 2026, of which we know the abstract; the definitions are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from distreal_sim.base.errors import InputError, unknown
from distreal_sim.results.runs import Run
from distreal_sim.results.statistics import t_interval

COSTS = ("sim_s", "round", "macs", "download_bytes", "upload_bytes")
"""What an evaluation has cost since the start; all but sim_s and round are sums over the clients."""

FURTHER_COSTS = ("energy_j",)
"""Costs that only some runs count; a table has those that all its runs count."""

RUN = ("method", "setting", "seed")
"""Columns that name a run."""

SLACK = 1e-12
"""A score this far from a target counts as the target."""


def points(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per run and evaluation: method, setting (empty outside a sweep), seed, the costs, and last the
    score of the runs, such as accuracy.
    """
    if runs and runs[0].y in (*COSTS, *FURTHER_COSTS):
        raise InputError(f"{runs[0].y} is a cost; choose a score to judge by, such as {runs[0].scores[0]}")
    tables = []
    costs = [*COSTS, *(cost for cost in FURTHER_COSTS if all(cost in run.rounds for run in runs))]
    for run in runs:
        rows = run.evaluated
        sums = run.rounds[[cost for cost in costs if cost not in ("sim_s", "round")]].cumsum().loc[rows.index]
        setting = ", ".join(f"{key}={value}" for key, value in run.setting.items())
        known = rows[["sim_s", "round", run.y]].assign(method=run.variant, setting=setting, seed=run.seed)
        tables.append(pd.concat([known, sums], axis=1))
    return pd.concat(tables, ignore_index=True)[[*RUN, *costs, runs[0].y]]


def costs_of(table: pd.DataFrame) -> list[str]:
    """The costs that a table of `points` has."""
    return [cost for cost in (*COSTS, *FURTHER_COSTS) if cost in table]


def quality(table: pd.DataFrame, budget: Mapping[str, float], lower: bool = False) -> pd.DataFrame:
    """The best score so far at the last evaluation before the first budget is exhausted.

    table: as of `points`. lower: whether lower scores are better. budget: limits of costs. A row per
    setting and method: `quality` and `quality_ci95` over the seeds that were tested within the budget,
    `tested` ("k of n" seeds), `binding`, the budget that is exhausted first in most seeds, empty where the
    runs end within all of them. Raises InputError for an unknown or empty budget.
    """
    if not budget:
        known = ", ".join(costs_of(table))
        raise InputError(f"a budget is needed, for example sim_s=3600; costs: {known}")
    for cost in budget:
        if cost not in costs_of(table):
            raise unknown("cost", cost, costs_of(table))
    rows = []
    for (setting, method), seeds in _groups(table):
        found = [_within(run, budget, lower) for run in seeds]
        mean, half = t_interval(value for value, _ in found)
        bindings = [binding for _, binding in found]
        rows.append(
            {
                "setting": setting,
                "method": method,
                "quality": mean,
                "quality_ci95": half,
                "tested": f"{sum(math.isfinite(value) for value, _ in found)} of {len(found)}",
                "binding": max(dict.fromkeys(bindings), key=bindings.count),
            }
        )
    return pd.DataFrame(rows)


def cost(
    table: pd.DataFrame,
    target: float,
    hold: int = 2,
    reference: str | None = None,
    lower: bool = False,
) -> pd.DataFrame:
    """Each cost at the first of `hold` consecutive evaluations at least as good as the `target`.

    A run that never gets there is censored: its cost counts as infinite. A row per setting and method:
    `reached` ("k of n" seeds), for each cost its median over all seeds, infinite where half of them or more
    are censored, and with a reference method `KEY_ratio`, the median over the seeds of cost / the
    reference's, left out (NaN) where both are censored. Raises InputError for a target outside (0, 1], a hold
    below 1 or an unknown reference.
    """
    if _score(table) == "accuracy" and not 0 < target <= 1:
        raise InputError(f"target {target:g} must be an accuracy in (0, 1], for example 0.8")
    if hold < 1:
        raise InputError(f"hold {hold} must be at least 1")
    if reference is not None and reference not in set(table["method"]):
        raise unknown("reference", reference, dict.fromkeys(table["method"]))
    spent = {key: _spent(seeds, target, hold, lower) for key, seeds in _groups(table)}
    rows = []
    for (setting, method), costs in spent.items():
        n_reached = int(np.isfinite(costs["sim_s"]).sum())
        row: dict[str, object] = {
            "setting": setting,
            "method": method,
            "reached": f"{n_reached} of {len(costs)}",
        }
        row |= {str(key): _median(costs[key]) for key in costs}
        other = spent.get((setting, reference)) if reference is not None else None
        if other is not None and method != reference:
            both = costs.index.intersection(other.index)
            row |= {f"{key}_ratio": _median(_ratio(costs[key][both], other[key][both])) for key in costs}
        rows.append(row)
    return pd.DataFrame(rows)


def robust(
    table: pd.DataFrame,
    nominal: str,
    target: float | None = None,
    hold: int = 2,
    n_last: int = 1,
    lower: bool = False,
) -> pd.DataFrame:
    """What each method keeps of its score, and how much slower it gets, where the setting changes.

    nominal: the setting that the others are compared with, seed by seed. A row per method and other setting,
    and one called `worst`: `retention`, final score (mean of the last n_last evaluations) / the nominal
    one, mean over the seeds, and `retention_ci95`; with a target `slow_down`, the median ratio of simulated
    seconds to it; `rank` by final score in the setting and `nominal_rank`. Raises InputError for an
    unknown setting.
    """
    settings = list(dict.fromkeys(table["setting"]))
    if nominal not in settings:
        raise unknown("setting", nominal, settings)
    if len(settings) < 2:
        raise InputError(f"the runs have one setting only, {nominal!r}; robustness needs others beside it")
    groups = _groups(table)
    final = {key: _finals(seeds, n_last) for key, seeds in groups}
    seconds = {key: _spent(seeds, target, hold, lower)["sim_s"] for key, seeds in groups} if target else {}
    ranks = {setting: _ranks(final, setting, lower) for setting in settings}
    rows = []
    for method in dict.fromkeys(table["method"]):
        own: list[dict[str, object]] = []
        base = final.get((nominal, method))
        for setting in settings:
            there = final.get((setting, method))
            if setting == nominal or base is None or there is None:
                continue
            both = base.index.intersection(there.index)
            mean, half = t_interval(there[both] / base[both])
            row: dict[str, object] = {"method": method, "setting": setting}
            row |= {"retention": mean, "retention_ci95": half}
            if target:
                ratio = _ratio(seconds[setting, method][both], seconds[nominal, method][both])
                row["slow_down"] = _median(ratio)
            row |= {"rank": ranks[setting][method], "nominal_rank": ranks[nominal][method]}
            own.append(row)
        if own:
            worst = (max if lower else min)(own, key=lambda row: float(str(row["retention"])))
            rows += [*own, {**worst, "setting": f"worst: {worst['setting']}"}]
    return pd.DataFrame(rows)


def _groups(table: pd.DataFrame) -> list[tuple[tuple[str, str], list[pd.DataFrame]]]:
    """By setting and method, in the order of the table, the evaluations of each seed in their order."""
    keys = list(dict.fromkeys(zip(table["setting"], table["method"], strict=True)))
    found = []
    for setting, method in keys:
        rows = table[(table["setting"] == setting) & (table["method"] == method)]
        seeds = [run.sort_values("round") for _, run in rows.groupby("seed", sort=True)]
        found.append(((str(setting), str(method)), seeds))
    return found


def _score(table: pd.DataFrame) -> str:
    """The score that the table is about: the column that names no run and is no cost."""
    return next(str(name) for name in table.columns if name not in (*RUN, *COSTS, *FURTHER_COSTS))


def _within(run: pd.DataFrame, budget: Mapping[str, float], lower: bool) -> tuple[float, str]:
    """Best score within the budget, NaN without an evaluation there; the cost that is exhausted first."""
    used = pd.DataFrame({key: run[key] / limit if limit else np.inf for key, limit in budget.items()})
    inside = (used <= 1 + SLACK).all(axis=1)
    values = run.loc[inside, _score(run)]
    best = float(values.min() if lower else values.max()) if inside.any() else math.nan
    beyond = used[~inside]
    return best, "" if beyond.empty else str(beyond.iloc[0].idxmax())


def _spent(seeds: Sequence[pd.DataFrame], target: float, hold: int, lower: bool) -> pd.DataFrame:
    """(seeds, costs) at the target; infinite where it was not reached and held."""
    rows = {}
    for run in seeds:
        score = run[_score(run)]
        there = (score <= target + SLACK if lower else score >= target - SLACK).to_numpy()
        starts = [i for i in range(len(there) - hold + 1) if there[i : i + hold].all()]
        costs = costs_of(run)
        at = run[costs].iloc[starts[0]] if starts else pd.Series(np.inf, index=costs)
        rows[int(run["seed"].iloc[0])] = at.astype(float)
    return pd.DataFrame(rows).T


def _finals(seeds: Sequence[pd.DataFrame], n_last: int) -> pd.Series[float]:
    return pd.Series({int(run["seed"].iloc[0]): run[_score(run)].iloc[-n_last:].mean() for run in seeds})


def _ranks(final: Mapping[tuple[str, str], pd.Series[float]], setting: str, lower: bool) -> dict[str, int]:
    """By mean final score in a setting; 1 is the best, equals share theirs."""
    means = pd.Series({method: own.mean() for (where, method), own in final.items() if where == setting})
    return {str(method): int(rank) for method, rank in means.rank(ascending=lower, method="min").items()}


def _ratio(own: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    """own / other; infinite where only own is, 0 where only other is, NaN where both are."""
    return own / other


def _median(values: pd.Series[float]) -> float:
    """Of all values but NaN; the mean of the two middle ones is infinite if one of them is."""
    known = np.sort(values.dropna().to_numpy())
    if not len(known):
        return math.nan
    low, high = known[(len(known) - 1) // 2], known[len(known) // 2]
    return float(low if low == high else (low + high) / 2)
