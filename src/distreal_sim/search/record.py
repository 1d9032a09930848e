"""The front that a search writes, with its record in `made`: how it was made, and what it is worth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from distreal_sim.base.versions import version_of
from distreal_sim.config import Experiment
from distreal_sim.fronts.front import Front, fingerprint, make_front
from distreal_sim.search.explore import Exploration
from distreal_sim.search.objective import Objective
from distreal_sim.search.reevaluate import Reevaluation, Scores
from distreal_sim.search.score import Score
from distreal_sim.search.settings import Search
from distreal_sim.search.space import Pair, Space
from distreal_sim.search.worth import Worth

PACKAGES = ("distreal-sim", "torch", "numpy", "pymoo", "scikit-learn")


def searched_front(
    found: Exploration,
    entries: Mapping[Pair, Score],
    experiment: Experiment,
    objective: Objective,
    fresh: Reevaluation,
    facts: Mapping[str, Any],
) -> Front:
    """The front of a search; facts: for `made`, beside what follows from the other arguments."""
    space, search = objective.space, objective.search
    peak = space.peak_bytes
    made: dict[str, Any] = {
        "model": experiment.model.name,
        "dataset": experiment.dataset.name,
        "how": "search by NSGA-II",
        **facts,
        "seed": search.seed,
        "evaluations": len(found.scores),
        "generations": len(found.generations),
        "stopped": found.stopped,
        "reproducible": found.stopped != "wall_s",
        **_settings(search, experiment),
        "reevaluation": _worth(objective, fresh),
    }
    return make_front(
        space.structure,
        space.thinnable,
        np.array([space.rates(pair.counts) for pair in entries]),
        [score.mean for score in entries.values()],
        shares=[pair.share for pair in entries],
        errors=[score.error for score in entries.values()],
        memory_bytes=None if peak is None else [peak(pair.counts) for pair in entries],
        model=fingerprint(objective.task.module),
        made=made,
    )


def measured_front(
    given: Front, experiment: Experiment, objective: Objective, fresh: Reevaluation, facts: Mapping[str, Any]
) -> Front:
    """The given entries and scores; `made` tells the worth, and how it was measured."""
    made = {key: value for key, value in given.made.items() if key != "bundled"}
    made["measured"] = {**facts, **_settings(objective.search, experiment)}
    return dataclasses.replace(given, made={**made, "reevaluation": _worth(objective, fresh)})


def _settings(search: Search, experiment: Experiment) -> dict[str, Any]:
    """What a front or its worth depends on, for its file."""
    plain = experiment.resolved()
    own = {key: plain[key] for key in ("seed", "dataset", "model", "local", "method")}
    own["dataset"].pop("data_dir", None)
    own["method"].pop("front", None)
    return {
        "versions": {name: version_of(name) for name in PACKAGES},
        "search": search.model_dump(mode="json", exclude={"experiment", "front"}),
        "experiment": own,
    }


def _worth(objective: Objective, fresh: Reevaluation) -> dict[str, Any]:
    """What was measured on fresh seeds, for the front's file."""
    space = objective.space
    return {
        **_without_nan(dataclasses.asdict(fresh.comparison)),
        "thinning": _plain(fresh.thinning),
        "thinning_by_snapshot": [
            {"steps": steps, "thinning": _plain(worth)}
            for steps, worth in zip(objective.search.snapshots, fresh.by_snapshot, strict=True)
        ],
        "entries": _rows(space, fresh.found),
        "uniform_entries": _rows(space, fresh.uniform),
        "fewer_steps_entries": _rows(space, fresh.fewer_steps),
    }


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Null in the place of what cannot be compared, because the full network makes no progress."""
    unknown = math.isnan(values["found"])
    return {key: None if unknown and not isinstance(n, int) else n for key, n in values.items()}


def _plain(worth: Worth | None) -> dict[str, Any] | None:
    return None if worth is None else dataclasses.asdict(worth)


def _rows(space: Space, scores: Scores) -> list[dict[str, float]]:
    """Entries as plain numbers, cheapest first; relative_macs: per planned example."""
    rows = [
        {
            "relative_macs": space.cost(pair),
            **space.told_memory(pair.counts),
            "share": pair.share,
            "score": score.mean,
            "score_error": score.error,
        }
        for pair, score in scores.items()
    ]
    return sorted(rows, key=lambda row: row["relative_macs"])
