"""What a front file's measurements say in words."""

from __future__ import annotations

from typing import Any

import pytest

from distreal_sim.fronts.fresh import (
    gains,
    searched_otherwise,
    thinning_pays,
    where_it_loses,
    where_it_pays,
)

BEST = {"relative_macs": 0.17, "value": 0.124, "interval": [0.05, 0.2]}
WORST = {"relative_macs": 0.471, "value": -0.3, "interval": [-0.35, -0.25]}
PAYS: dict[str, Any] = {
    "pays": [[0.021, 0.312]],
    "pays_in_the_mean": [[0.021, 0.4]],
    "loses": [[0.45, 0.999]],
    "best": BEST,
    "worst": WORST,
}
AT_WORST = (
    "the front lies below fewer full steps from 45 to 99.9 % of the MACs, at worst -0.30 of the full "
    "network's progress at 47.1 % of the MACs (95 % interval -0.35 to -0.25)"
)
AT_BEST = "at best +0.12 of the full network's progress at 17 % of the MACs (95 % interval +0.05 to +0.20)"


def made(worth: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"reevaluation": {"thinning": worth, **more}}


def test_from_to() -> None:
    assert thinning_pays(made(PAYS), True) == [
        "thinning pays from 2.1 to 31.2 % of the MACs (in the mean from 2.1 to 40 % of the MACs); "
        f"against fewer full steps {AT_BEST}",
        AT_WORST,
    ]


def test_a_front_of_the_full_network_alone() -> None:
    """It takes fewer full steps itself, so that there is nothing to compare."""
    assert thinning_pays(made(PAYS), False) == [
        "no entry is thinned: clients take fewer full steps, as with overrun=partial"
    ]


def test_never_and_by_snapshot() -> None:
    """The same in the mean is not repeated; nor is what never holds."""
    never = {**PAYS, "pays": [], "pays_in_the_mean": []}
    twice = {**PAYS, "pays": [[0.1, 0.2], [0.5, 0.5]], "pays_in_the_mean": [[0.1, 0.2], [0.5, 0.5]]}
    stages = [{"steps": 0, "thinning": twice}, {"steps": 300, "thinning": None}]
    assert thinning_pays(made(never, thinning_by_snapshot=stages), True) == [
        f"thinning never pays; against fewer full steps {AT_BEST}",
        AT_WORST,
        "from the snapshot after 0 steps: thinning pays from 10 to 20 % and at 50 % of the MACs",
        "from the snapshot after 300 steps: the full network makes no progress",
    ]


def test_the_short_forms() -> None:
    """Where alone; a front that loses nowhere has no line."""
    assert where_it_pays(made(PAYS)) == "thinning pays from 2.1 to 31.2 % of the MACs"
    assert where_it_pays(made({**PAYS, "pays": []})) == "thinning never pays"
    assert where_it_loses(made(PAYS)) == "lies below fewer full steps from 45 to 99.9 % of the MACs"
    assert where_it_loses(made({**PAYS, "loses": []})) is None


@pytest.mark.parametrize(
    ("score", "training"), [("central", "in central training"), ("federated", "in a round of a fleet")]
)
def test_in_which_training(score: str, training: str) -> None:
    """A front says by which score its worth was measured, where its file does."""
    front = {**made(PAYS), "search": {"score": score}}
    assert where_it_pays(front) == f"thinning pays from 2.1 to 31.2 % of the MACs {training}"
    assert where_it_loses(front) == f"lies below fewer full steps from 45 to 99.9 % of the MACs {training}"
    assert thinning_pays(front, True)[0].startswith(
        f"thinning pays from 2.1 to 31.2 % of the MACs {training} (in"
    )
    assert thinning_pays(front, True)[1].startswith(
        f"the front lies below fewer full steps from 45 to 99.9 % of the MACs {training}, at"
    )


@pytest.mark.parametrize("unknown", [{}, {"reevaluation": {}}, made(None)])
def test_what_is_not_known_is_not_said(unknown: dict[str, Any]) -> None:
    assert (gains(unknown), thinning_pays(unknown, True)) == ([], [])
    assert (where_it_pays(unknown), where_it_loses(unknown)) == (None, None)


def test_gains() -> None:
    """Over uniform rates; and over the better of these and fewer full steps, where that was measured."""
    fresh = {"found": 0.55, "uniform": 0.44, "gain": 0.25, "gain_interval": [0.2, 0.301]}
    first = "hypervolume 0.5500, uniform rates 0.4400: +25.0 %, 95 % interval +20.0 % to +30.1 %"
    assert gains({"reevaluation": fresh}) == [first]
    fresh |= {"better": 0.6, "gain_over_better": -1 / 12, "gain_over_better_interval": [-0.1, 0.01]}
    assert gains({"reevaluation": fresh}) == [
        first,
        "hypervolume 0.5500, the better of uniform rates and fewer full steps 0.6000: -8.3 %, 95 % interval "
        "-10.0 % to +1.0 %",
    ]


def test_what_the_search_had() -> None:
    """Other data and other filters, by key. Where the files lie and what is held out make no difference, nor
    does an option that one of the two does not know.
    """
    method = {"name": "distreal", "filters": "random", "resample": "batch", "front": "auto"}
    dataset = {"name": "cifar10", "pool": 2, "validation": 0.0}
    of_file = {"experiment": {"method": {**method, "scaling": "none"}, "dataset": dataset}}
    assert (
        searched_otherwise(of_file, {**dataset, "validation": 0.2, "data_dir": "/d", "new": 1}, method) == {}
    )
    assert searched_otherwise(of_file, {**dataset, "pool": 1}, {**method, "filters": "ordered"}) == {
        "dataset.pool": (2, 1),
        "method.filters": ("random", "ordered"),
    }
    assert searched_otherwise(of_file, {"name": "mnist"}, {**method, "resample": 4}) == {
        "dataset.name": ("cifar10", "mnist"),
        "method.resample": ("batch", 4),
    }
    assert searched_otherwise({"how": "by hand"}, dataset, method) == {}


@pytest.mark.parametrize(
    "strange",
    [
        {"reevaluation": "x", "experiment": 3, "search": 7},
        made({"pays": [[0.1, 0.2]]}),
        {"reevaluation": {"thinning": 5}, "experiment": {"dataset": "digits", "method": None}},
    ],
)
def test_a_record_that_is_none_says_nothing(strange: dict[str, Any]) -> None:
    """`made` is what somebody wrote into the file, and is not checked when it is read."""
    assert (gains(strange), thinning_pays(strange, True)) == ([], [])
    assert (where_it_pays(strange), where_it_loses(strange)) == (None, None)
    assert searched_otherwise(strange, {"name": "digits"}, {"filters": "random"}) == {}
