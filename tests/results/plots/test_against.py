"""The final value against a key of the configs, and what is drawn around means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from distreal_sim.base.errors import InputError
from distreal_sim.results.plots._curves import mean_curve
from distreal_sim.results.plots._lines import method_line
from distreal_sim.results.plots.against import against
from distreal_sim.results.runs import Run

from .conftest import WriteRun


@pytest.fixture
def runs(write_run: WriteRun) -> list[Run]:
    """Final accuracies of two seeds: fedavg 0.5 and 0.7 at low 0.1, 0.8 and 0.8 at low 1; distreal 0.9."""
    finals = {("fedavg", 0.1): (0.5, 0.7), ("fedavg", 1.0): (0.8, 0.8), ("distreal", 0.1): (0.9, 0.9)}
    return [
        write_run(method, [0.2, final], seed=seed, profile={"name": "uniform", "low": low})
        for (method, low), both in finals.items()
        for seed, final in enumerate(both, 1)
    ]


def test_means_at_the_values_of_a_key(runs: list[Run]) -> None:
    """fedavg: 0.6 at 0.1 and 0.8 at 1, in its colour; bars of one standard deviation, sqrt(0.02) = 0.1414."""
    figure = against(runs, "profile.low", band="std")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Low", "Final test accuracy")
    fedavg, distreal = (bars.lines[0] for bars in axes.containers)
    assert_allclose(fedavg.get_xydata(), [[0.1, 0.6], [1.0, 0.8]])
    assert_allclose(distreal.get_xydata(), [[0.1, 0.9]])
    assert fedavg.get_color() == method_line("fedavg")[0]
    (segment, _) = axes.containers[0].lines[2][0].get_segments()
    assert_allclose(segment[:, 1], [0.6 - 0.141421, 0.6 + 0.141421], rtol=1e-5)


def test_words_are_places_in_the_order_of_the_runs(runs: list[Run]) -> None:
    """Two methods stand side by side, 0.04 to either side of the first word."""
    figure = against([run.showing("loss") for run in runs], "profile.name", band="none")
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["uniform"]
    assert axes.get_ylabel() == "Final test loss"
    found = [bars.lines[0].get_xydata().tolist() for bars in axes.containers]
    assert_allclose(np.array(found), [[[-0.04, 1.0]], [[0.04, 1.0]]])


def test_mistakes(runs: list[Run]) -> None:
    with pytest.raises(InputError, match=r"unknown swept key 'profile.lo'; did you mean 'profile.low'\?"):
        against(runs, "profile.lo")


def test_bands() -> None:
    """Seeds 0.2 and 0.4: mean 0.3, deviation sqrt(0.02), t-interval 12.706 * 0.1. One seed has none."""
    x = np.array([1.0])
    curve = mean_curve([(x, np.array([0.2])), (x, np.array([0.4]))])
    for kind, half in {"ci": 1.2706, "std": 0.141421, "range": 0.1}.items():
        assert_allclose(np.array(curve.band(kind)).ravel(), [0.3 - half, 0.3 + half], rtol=1e-4)  # type: ignore[arg-type]
    assert np.isnan(curve.band("none")).all()
    alone = mean_curve([(x, np.array([0.2]))])
    assert all(np.isnan(alone.band(kind)).all() for kind in ("ci", "std", "range", "none"))  # type: ignore[arg-type]
