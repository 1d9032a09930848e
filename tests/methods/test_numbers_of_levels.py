"""As many levels as wanted: the widths that a number stands for, and what clients train of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from rounds import updates_of
from toys import toy

from distreal_sim.base.errors import InputError
from distreal_sim.base.rng import Rngs
from distreal_sim.client.batches import batch_sizes
from distreal_sim.config.build import build
from distreal_sim.submodels.widths import HALVES
from distreal_sim.thinning.cost import n_parameters

NAMES = ("heterofl", "fedrolex", "federated_dropout", "fjord")

UP = {(math.ceil(i / 4), math.ceil(i / 2), i) for i in range(1, 17)}
"""Widths i/16 of 4, 8 and 16 channels, rounded up."""

DOWN = {(max(1, i // 4), max(1, i // 2), i) for i in range(1, 17)}
"""And down, at least one."""

SIXTEEN = {"heterofl": UP, "fedrolex": DOWN, "federated_dropout": DOWN, "fjord": UP}


@pytest.mark.parametrize("name", NAMES)
def test_a_number_stands_for_equally_spaced_widths(name: str) -> None:
    """Written out it is the same experiment; by default there are the published five."""
    four = toy(method={"name": name, "widths": 4})
    assert four.resolved()["method"]["widths"] == [1.0, 0.75, 0.5, 0.25]
    assert four.hash() == toy(method={"name": name, "widths": [1, 0.75, 0.5, 0.25]}).hash()
    published = [0.2, 0.4, 0.6, 0.8, 1.0] if name == "fjord" else list(HALVES)
    assert toy(method=name).resolved()["method"]["widths"] == published


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_levels_by_hand(name: str) -> None:
    experiment = toy(method={"name": name, "widths": 16})
    levels = experiment.method.all_levels(build(experiment))
    assert len(levels) == 16
    assert {level.counts for level in levels} == SIXTEEN[name]


@pytest.mark.parametrize("name", ["heterofl", "fedrolex", "federated_dropout"])
def test_clients_train_the_largest_of_sixteen_that_fits(name: str) -> None:
    """Constant capacities, so whoever takes part is done: MACs and bytes are those of the most expensive of
    the counts above whose work fits, and more than five of them occur.
    """
    profile = {"name": "uniform", "low": 0.002, "high": 1.0}
    experiment = toy(method={"name": name, "widths": 16}, profile=profile)
    task, _, updates = updates_of(experiment, n_clients=12)
    seen = set()
    for facts in (update.facts for update in updates):
        budget = task.devices.capacity(facts.client_id, 0.0)(0.0) * task.deadline_s * (1 + 1e-9)
        fitting = [c for c in SIXTEEN[name] if task.macs_per_example(c) * facts.n_examples <= budget]
        if not fitting:
            assert (facts.status, facts.macs) == ("dropped", 0)
            continue
        best = max(fitting, key=task.macs_per_example)
        assert facts.macs == task.macs_per_example(best) * facts.n_examples
        assert facts.download_bytes == facts.upload_bytes == 4 * n_parameters(task.structure, best)
        seen.add(best)
    assert len(seen) > 5


def test_fjord_draws_from_all_of_them() -> None:
    """Endless capacity: step t is of width (1 + floor(16 u_t)) / 16, and its MACs count as such."""
    local = {"steps": 40, "lr": 0.1}
    endless = {"name": "constant", "level": math.inf}
    experiment = toy(method={"name": "fjord", "widths": 16}, profile=endless, local=local)
    task, _, updates = updates_of(experiment, n_clients=1)
    narrowest_first = sorted(UP, key=lambda counts: counts[2])
    sizes = batch_sizes(int(task.split.sizes[0]), task.local)
    drawn = [narrowest_first[int(16 * u)] for u in Rngs(task.seed, (1, 0))("widths").random(40)]
    macs = sum(task.macs_per_example(counts) * n for counts, n in zip(drawn, sizes, strict=True))
    assert updates[0].facts.macs == macs
    assert len(set(drawn)) > 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [0, 257, 2.5, "many", None])
def test_no_number_of_levels(name: str, widths: Any) -> None:
    allowed = r"must be a list of widths, like \[1, 0\.5\], or a number of levels from 1 to 256"
    with pytest.raises(InputError, match=allowed):
        toy(method={"name": name, "widths": widths})


def test_proportions_are_one_for_each_level() -> None:
    method = {"name": "heterofl", "assignment": "fixed", "widths": 3, "proportions": [1, 1]}
    with pytest.raises(InputError, match="must be 3 numbers, one for each level"):
        toy(method=method)
