"""Every bundled front: made by its config, found for it, in order, and measured afresh."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from variants import by_default

from distreal_sim.config import Experiment, load_experiment
from distreal_sim.fronts import bundled as fronts
from distreal_sim.fronts.bundled import BundledFront
from distreal_sim.fronts.file import load_front
from distreal_sim.fronts.front import Front, fingerprint
from distreal_sim.methods.distreal import Distreal
from distreal_sim.search.pareto import hypervolume
from distreal_sim.search.settings import Search, load_search
from distreal_sim.thinning.coupling.groups import find_groups

CONFIGS = Path(__file__).parent.parent.parent / "configs" / "search"

DATA: dict[str, tuple[tuple[int, int, int], int]] = {
    "digits": ((1, 8, 8), 10),
    "mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
}
"""Shape of an example and number of classes, so that no data are needed."""

pytestmark = pytest.mark.parametrize(
    "name", by_default(fronts.names(), set(fronts.names()) - {"densenet40_bc-cifar10"})
)


def made_of(name: str) -> dict[str, Any]:
    return dict(json.loads(fronts.path_of(name).read_text())["made"])


def config_of(name: str) -> tuple[Search, Experiment]:
    """The search that made it, its experiment with `front: auto`."""
    search = load_search(CONFIGS / f"{made_of(name)['config']}.yaml")[0]
    return search, load_experiment(search.experiment, ["method.front=auto"])[0]


def loaded(name: str) -> Front:
    """As a run of its experiment loads it."""
    _, experiment = config_of(name)
    shape, n_classes = DATA[experiment.dataset.name]
    module = experiment.model.build(shape, n_classes)
    structure = find_groups(module, torch.zeros(2, *shape))
    assert isinstance(experiment.method, Distreal)
    groups = structure.thinnable(experiment.method.drop_linear)
    return load_front(fronts.path_of(name), structure, groups, fingerprint(module))


def test_made_by_its_config(name: str) -> None:
    """The settings in the front are those of the config, the experiment's too; those that the search knows
    only since have their defaults. Options of plug-ins that are newer than the front are not looked at.
    """
    search, experiment = config_of(name)
    made, plain = made_of(name), experiment.resolved()
    now = search.model_dump(mode="json", exclude={"experiment"})
    since = now.keys() - made["search"].keys()
    assert {key: value for key, value in now.items() if key not in since} == made["search"]
    assert not since & search.model_fields_set
    for key, value in made["experiment"].items():
        options = plain[key]
        assert value == ({k: options[k] for k in value} if isinstance(value, dict) else options), key
    assert made["reproducible"]


def test_found_for_its_experiment(name: str) -> None:
    """By `auto`, and by the name of model and data set."""
    _, experiment = config_of(name)
    assert isinstance(experiment.method, Distreal)
    assert experiment.method.front == BundledFront(bundled=name, content=loaded(name).content)
    assert f"{name}-".startswith(f"{experiment.model.name}-{experiment.dataset.name}-")


def test_a_front(name: str) -> None:
    """Costs grow from entry to entry, scores too, up to the zero vector, which is the last; the hypervolume
    is that of the entries, by the search's own function.
    """
    entries = loaded(name).entries
    assert len(entries) >= 2
    assert all(a.macs < b.macs for a, b in pairwise(entries))
    assert all(a.score < b.score for a, b in pairwise(entries[:-1]))
    assert not any(entries[-1].rates)
    assert all(entry.score_error is not None for entry in entries)
    points = [(entry.macs / entries[-1].macs, entry.score) for entry in entries]
    stored = json.loads(fronts.path_of(name).read_text())["hypervolume"]
    assert stored == pytest.approx(hypervolume(points, entries[-1].score), rel=1e-9)


def test_measured_afresh(name: str) -> None:
    """Against as many uniform entries as there are, at most, with an interval of the gain."""
    fresh, front = made_of(name)["reevaluation"], loaded(name)
    assert fresh["n_found"] == len(fresh["entries"]) == len(front.entries)
    assert 1 <= fresh["n_uniform"] == len(fresh["uniform_entries"]) <= fresh["n_found"]
    assert fresh["gain"] == pytest.approx(fresh["found"] / fresh["uniform"] - 1)
    low, high = fresh["gain_interval"]
    assert low <= fresh["gain"] <= high
